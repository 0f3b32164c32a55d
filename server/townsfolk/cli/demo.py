"""`townsfolk demo`: the whole town talks at once, in one batch."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from townsfolk.cli.terminal import colours_of, counted, error_console, output_console
from townsfolk.errors import FailedPrecondition, NotFound, TownsfolkError

if TYPE_CHECKING:
    from rich.console import Console

    from townsfolk.cli.client import Target, Town
    from townsfolk.cli.demo_view import Line, Round
    from townsfolk.v1.daemon_pb2 import GetStatsResponse
    from townsfolk.v1.persona_pb2 import Persona

FRAMES_PER_S = 8.0  # drawing costs time on the cores that the model needs
MAX_SPEAKERS = 16  # more panels than that fit no screen
LINE_TIMEOUT_S = 300.0  # a busy laptop may need a while for the whole town; its lines shall be the model's own
ROUNDS = 2


def demo(
    personas: Annotated[
        str,
        typer.Option(
            help="Ids of the personas to ask, with commas between. Default: all characters.", show_default=False
        ),
    ] = "",
    address: Annotated[
        str | None, typer.Option(help="Ask this daemon instead of one of the demo's own.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Base model: a path or a name. Default: the pulled one.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same lines.", min=0, show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Watch every character answer at the same time, out of one batch.

    Two rounds of questions, the second about the first. Brings a daemon of its own and stops it at the end; pulls
    the default model if that is missing.

    Example: townsfolk demo --personas old_knight,dwarf_smith,forest_elf
    """
    if address is None:
        model = str(_model(model))
    wanted = [name.strip() for name in personas.split(",") if name.strip()]
    asyncio.run(_demo(wanted, address, model, device, seed, as_json))


async def _demo(
    wanted: list[str], address: str | None, model: str | None, device: str, seed: int | None, as_json: bool
) -> None:
    from townsfolk.cli.client import ANY_KIND, Town
    from townsfolk.cli.demo_report import as_json_report, town_summary

    messages = error_console() if as_json else output_console()
    async with _daemon(address, model, device, messages) as target, Town(target) as town:
        cast = _cast(await town.personas(ANY_KIND if wanted else ()), wanted)
        before = await town.stats()
        if not as_json:
            _print_opening(messages, before, cast)
        sessions = {persona.id: await town.open_session([persona.id]) for persona in cast}
        rounds = []
        try:
            for number in range(1, ROUNDS + 1):
                rounds.append(await _play(town, cast, sessions, number, seed, None if as_json else messages))
        finally:
            if address is not None:  # the demo's own daemon takes them with it
                for session_id in sessions.values():
                    await town.close_session(session_id)
        summary = town_summary(rounds, before, await town.stats())
    if as_json:
        typer.echo(json.dumps(as_json_report(rounds, before, summary), ensure_ascii=False, indent=2))
    else:
        _print_closing(messages, rounds, summary)
        if address is None and messages.is_terminal:
            messages.print(f"\nTalk to them yourself: [bold]{_own_name()} talk {cast[0].id}[/bold]", style="dim")
    failed = [line for scene in rounds for line in scene.lines if line.error]
    if failed:
        raise FailedPrecondition(f"{counted(len(failed), 'line')} failed; {failed[0].name}: {failed[0].error}")


def _model(name: str | None) -> Path:
    """The model to run; the default one is pulled if it is missing."""
    from townsfolk.cli.models import pull_with_bar
    from townsfolk.models import DEFAULT_MODEL, resolve_model

    if name is None and not DEFAULT_MODEL.pulled:
        return pull_with_bar(DEFAULT_MODEL, error_console())
    return resolve_model(name)


@asynccontextmanager
async def _daemon(address: str | None, model: str | None, device: str, messages: Console) -> AsyncIterator[Target]:
    """The daemon at `address`, or one of our own for as long as the demo lasts."""
    from townsfolk.cli.client import parse_target
    from townsfolk.cli.launch import check_engine_packages, spawn, stop_child, wait_until_healthy

    if address is not None:
        yield parse_target(address)
        return
    check_engine_packages()
    with tempfile.TemporaryDirectory(prefix="townsfolk-demo-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "daemon.log"
        arguments = ["--address", "127.0.0.1:0", "--device", device, *(["--model", model] if model else [])]
        with log.open("wb") as sink:
            child = spawn(arguments, sink, environment={"TOWNSFOLK_STATE_DIR": folder})
        try:
            yield await wait_until_healthy(child, log, messages, Path(folder) / "daemon.json")
        finally:
            with messages.status("Stopping …", spinner="dots"):
                stop_child(child)


def _cast(library: list[Persona], wanted: list[str]) -> list[Persona]:
    """Who is asked. Raises ``NotFound`` for an unknown id or an empty library."""
    known = {persona.id: persona for persona in library}
    for persona_id in wanted:
        if persona_id not in known:
            raise NotFound(f"there is no persona {persona_id!r}; there are {', '.join(known)}", field="personas")
    cast = [known[persona_id] for persona_id in dict.fromkeys(wanted)] or [p for p in library if not p.problems]
    if not cast:
        raise NotFound("the daemon has no personas; `townsfolk personas list` shows where it looks")
    return cast[:MAX_SPEAKERS]


async def _play(
    town: Town, cast: list[Persona], sessions: dict[str, str], number: int, seed: int | None, console: Console | None
) -> Round:
    """One round: every persona is asked in a task of its own, at the same time."""
    from townsfolk.cli.demo_scene import part_of
    from townsfolk.cli.demo_view import Line, Round, finished_round

    colours, lines = colours_of(persona.id for persona in cast), []
    for persona in cast:
        part = part_of(persona.id)
        question, situation = (part.first, part.situation) if number == 1 else (part.second, "")
        lines.append(Line(persona.id, persona.name, colours[persona.id], question, situation))
    scene = Round(number, ROUNDS, lines)
    if console is not None:
        console.print(f"round {number} of {ROUNDS}", style="dim", markup=False)
    asking = asyncio.gather(*(_ask(town, line, sessions[line.persona_id], seed, console) for line in lines))
    try:
        if console is not None and console.is_terminal:
            await _show(scene, asking, console)
        await asking
    finally:
        asking.cancel()
    scene.ended = time.monotonic()
    if console is not None:
        if console.is_terminal:
            console.print(finished_round(scene, console))
        console.print()
    return scene


async def _ask(town: Town, line: Line, session_id: str, seed: int | None, console: Console | None) -> None:
    """One persona's line, token by token into `line`."""
    from townsfolk.v1.dialogue_pb2 import SayRequest

    request = SayRequest(
        persona_id=line.persona_id, session_id=session_id, text=line.question, situation=line.situation
    )
    if seed is not None:
        request.sampling.seed = seed
    try:
        async for event in town.say(request, LINE_TIMEOUT_S):
            match event.WhichOneof("event"):
                case "speech_delta":
                    line.text += event.speech_delta.text
                    line.tokens += event.speech_delta.token_count
                case "finished":
                    line.text, line.stats = event.finished.text, event.finished.stats
                    line.fallback = event.finished.fallback
    except TownsfolkError as error:
        line.error = error.message
    if console is not None and not console.is_terminal:
        console.print(f"[{line.name}] {line.error or line.text}", markup=False, soft_wrap=True)


async def _show(scene: Round, asking: asyncio.Future[Any], console: Console) -> None:
    """Draw the round until everybody has ended."""
    from rich.live import Live

    from townsfolk.cli.demo_view import LiveView

    with Live(LiveView(scene, console), console=console, auto_refresh=False, transient=True) as live:
        while not asking.done():
            live.refresh()
            await asyncio.wait([asking], timeout=1 / FRAMES_PER_S)


def _print_opening(console: Console, stats: GetStatsResponse, cast: list[Persona]) -> None:
    from townsfolk.cli.demo_scene import TITLE

    adapters = sum(1 for persona in cast if persona.adapter.digest)
    model = stats.model
    console.print()
    console.print(TITLE, style="bold", markup=False)
    console.print(
        f"{counted(len(cast), 'character')}, {counted(adapters, 'adapter')}, one model: "
        f"{model.name} in {model.dtype} on {model.device}",
        style="dim",
        markup=False,
    )
    console.print()


def _own_name() -> str:
    """How this command can be called again: by its name where that is on the path, else as it was."""
    return "townsfolk" if shutil.which("townsfolk") else sys.argv[0]


def _print_closing(console: Console, rounds: list[Round], summary: dict[str, Any]) -> None:
    from townsfolk.cli.demo_view import lines_table, town_table

    console.print(lines_table(rounds))
    console.print()
    console.print(town_table(summary))
