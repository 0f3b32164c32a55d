"""`townsfolk preview`: one line in several versions side by side."""

from __future__ import annotations

import asyncio
import secrets
from asyncio import sleep as _pause
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from townsfolk.cli.say import LINE_TIMEOUT_S, AddressOption
from townsfolk.cli.terminal import counted, error_console, output_console
from townsfolk.errors import FailedPrecondition, InvalidArgument, TownsfolkError

if TYPE_CHECKING:
    from townsfolk.cli.client import Town
    from townsfolk.cli.preview_view import Voice
    from townsfolk.v1.preview_pb2 import CompareRequest, CompareResponse, Variant

LOOK_EVERY_S = 0.5  # for changes of a persona
DEFAULT_VARIANTS = ("base", "prompt-only", "persona")
DEFAULT_VARIANTS_WITHOUT_ADAPTER = ("base", "persona")
SEED_BITS = 32  # short enough to type again


def preview(
    persona: Annotated[str, typer.Argument(help="Id of the persona, as `townsfolk personas list` shows it.")],
    text: Annotated[str, typer.Argument(help="What you say to it. May be empty with --situation.")] = "",
    situation: Annotated[str, typer.Option(help="What is going on, told to the persona but spoken by nobody.")] = "",
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="[PERSONA:]KIND[@SCALE]; kinds are base, prompt-only, adapter-only and persona. Repeat it. "
            "Default: base, prompt-only and persona.",
            show_default=False,
        ),
    ] = None,
    scale: Annotated[
        list[float] | None,
        typer.Option(
            help="How strongly the adapter is applied, 0 to 2; repeat it to compare several. Default: 1.",
            min=0,
            max=2,
            show_default=False,
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="A system prompt to try in place of the persona's.", show_default=False)
    ] = None,
    session: Annotated[str, typer.Option(help="Id of an open session, to follow its history.")] = "",
    seed: Annotated[
        int | None,
        typer.Option(
            help="The same seed gives the same lines. Default: one for all variants.", min=0, show_default=False
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="0 to 4; 0 takes the likeliest word. Default: the persona's.", min=0, max=4, show_default=False
        ),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Longest line in tokens. Default: the persona's.", min=1, max=2048, show_default=False),
    ] = None,
    top_tokens: Annotated[
        int, typer.Option(help="Shade tokens by their probability, and show so many likelier ones.", min=0, max=20)
    ] = 0,
    watch: Annotated[
        bool, typer.Option("--watch", help="Speak again whenever the persona's files change, until Ctrl-C.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds the lines may take.", min=0.1, max=600)] = LINE_TIMEOUT_S,
    address: AddressOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one event a line, as JSON.")] = False,
) -> None:
    """Hear a line in several versions at once: the base model, the persona's prompt, prompt and adapter.

    All of them are decoded in one batch, and with one seed, so they differ by what they are and not by luck.
    Nothing is remembered.

    Example: townsfolk preview dwarf_smith "Do you sell rope?" --scale 0.5 --scale 1 --top-tokens 3
    """
    from townsfolk.cli.preview_variants import make_variants
    from townsfolk.v1.preview_pb2 import CompareRequest

    request = CompareRequest(text=text, situation=situation, session_id=session, top_tokens=top_tokens)
    request.sampling.seed = secrets.randbits(SEED_BITS) if seed is None else seed
    if temperature is not None:
        request.sampling.temperature = temperature
    if max_tokens is not None:
        request.sampling.max_tokens = max_tokens
    make = partial(make_variants, persona_id=persona, scales=scale or [], system=system)
    if variant:
        request.variants.extend(make(variant))  # now, so that a misspelt one shows before a daemon is started
    asyncio.run(_preview(request, persona, make, address, timeout, watch=watch, as_json=as_json))


async def _preview(
    request: CompareRequest,
    persona_id: str,
    make: Callable[[Sequence[str]], list[Variant]],
    address: str | None,
    timeout_s: float,
    *,
    watch: bool,
    as_json: bool,
) -> None:
    from townsfolk.cli.client import Town
    from townsfolk.cli.launch import find_or_start

    async with Town(await find_or_start(address, error_console())) as town:
        persona = await town.persona(persona_id)
        adapted = bool(persona.adapter.digest)
        if not adapted:
            error_console().print(f"{persona.name} has no adapter here and speaks by its prompt alone", style="dim")
        if not request.variants:
            words = DEFAULT_VARIANTS if adapted else DEFAULT_VARIANTS_WITHOUT_ADAPTER
            request.variants.extend(make(words))
        if watch:
            await _keep_comparing(town, request, timeout_s, as_json)
        else:
            await _compare(town, request, timeout_s, as_json)


async def _compare(town: Town, request: CompareRequest, timeout_s: float, as_json: bool) -> None:
    """Speak the line in all variants and print it. Raises ``FailedPrecondition`` if one of them failed."""
    from townsfolk.cli.comparing import speak_variants
    from townsfolk.cli.plain import compare_line
    from townsfolk.cli.preview_view import Voice, print_comparison

    def print_event(response: CompareResponse, voice: Voice) -> None:
        typer.echo(compare_line(response, voice.label))

    voices = [Voice(variant.label, index) for index, variant in enumerate(request.variants)]
    output = output_console()
    if as_json:
        await speak_variants(town, request, voices, timeout_s, heard=print_event)
    else:
        screen = output if output.is_terminal else None
        await speak_variants(town, request, voices, timeout_s, screen=screen)
        print_comparison(output, error_console(), voices, request.sampling.seed)
    failed = [voice for voice in voices if voice.error]
    if failed:
        raise FailedPrecondition(f"{counted(len(failed), 'variant')} failed; {failed[0].label}: {failed[0].error}")


async def _keep_comparing(town: Town, request: CompareRequest, timeout_s: float, as_json: bool) -> None:
    """Compare again after every change of a persona; a comparison that fails is told of and does not end that."""
    errors = error_console()
    persona_ids = sorted({variant.persona_id for variant in request.variants if variant.persona_id})
    if not persona_ids:
        raise InvalidArgument("there is nothing to watch: no variant is of a persona", field="watch")
    looks = await _looks(town, persona_ids)
    while True:
        try:
            await _compare(town, request, timeout_s, as_json)
        except TownsfolkError as error:
            errors.print(f"error: {error.message}", style="red", markup=False)
        errors.print(f"waiting for changes of {', '.join(persona_ids)}; Ctrl-C leaves", style="dim")
        heard = looks.personas
        while looks.personas == heard:  # new problems alone: a broken persona stays as it was
            looks = await _changed(town, persona_ids, looks)
            for problem in looks.problems:
                errors.print(problem, style="red", markup=False)


@dataclass(frozen=True)
class _Looks:
    """Personas as they are now: whatever can change a line, and what is wrong with them."""

    personas: tuple[bytes, ...]
    problems: tuple[str, ...]


async def _changed(town: Town, persona_ids: list[str], before: _Looks) -> _Looks:
    """Wait until the personas look different."""
    while True:
        now = await _looks(town, persona_ids)
        if now != before:
            return now
        await _pause(LOOK_EVERY_S)


async def _looks(town: Town, persona_ids: list[str]) -> _Looks:
    """Asked of the daemon, which reads changed files at once, so that it works on another machine too."""
    personas = [await town.persona(persona_id) for persona_id in persona_ids]
    problems = tuple(problem for persona in personas for problem in persona.problems)
    for persona in personas:
        persona.adapter.ClearField("state")  # where the adapter is just now says nothing about the persona
        persona.ClearField("problems")
    return _Looks(tuple(persona.SerializeToString(deterministic=True) for persona in personas), problems)
