"""`townsfolk say`: one line from one persona."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from townsfolk.cli.terminal import WordWrapper, colours_of, error_console, output_console
from townsfolk.wording import cost_in_words

if TYPE_CHECKING:
    from townsfolk.cli.client import Town
    from townsfolk.v1.common_pb2 import Action, TurnEvent, TurnStats
    from townsfolk.v1.dialogue_pb2 import SayRequest

LINE_TIMEOUT_S = 60.0

AddressOption = Annotated[
    str | None,
    typer.Option(
        help="host:port of a daemon. Default: TOWNSFOLK_ADDRESS, else the running one, else one is started.",
        show_default=False,
    ),
]

CuesOption = Annotated[
    bool,
    typer.Option("--cues", help="Also show the emotion that the persona shows and what it does."),
]


def say(
    persona: Annotated[str, typer.Argument(help="Id of the persona, as `townsfolk personas list` shows it.")],
    text: Annotated[str, typer.Argument(help="What you say to it. May be empty with --situation.")] = "",
    situation: Annotated[str, typer.Option(help="What is going on, told to the persona but spoken by nobody.")] = "",
    session: Annotated[str, typer.Option(help="Id of an open session, to go on with its history.")] = "",
    address: AddressOption = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same line.", min=0, show_default=False)
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
    timeout: Annotated[float, typer.Option(help="Seconds the line may take.", min=0.1, max=600)] = LINE_TIMEOUT_S,
    cues: CuesOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one event a line, as JSON.")] = False,
) -> None:
    """Ask a persona for one line and print it as it is spoken.

    Starts a daemon in the background when none is running; it leaves by itself after ten idle minutes.

    Example: townsfolk say dwarf_smith "What is the blade over the forge?" --situation "dusk, shop closing"
    """
    from townsfolk.v1.dialogue_pb2 import SayRequest

    request = SayRequest(persona_id=persona, text=text, situation=situation, session_id=session, with_cues=cues)
    if seed is not None:
        request.sampling.seed = seed
    if temperature is not None:
        request.sampling.temperature = temperature
    if max_tokens is not None:
        request.sampling.max_tokens = max_tokens
    asyncio.run(_say(request, address, timeout, as_json))


async def _say(request: SayRequest, address: str | None, timeout_s: float, as_json: bool) -> None:
    from townsfolk.cli.client import Town
    from townsfolk.cli.launch import find_or_start

    async with Town(await find_or_start(address, error_console())) as town:
        if not as_json:
            await speak(town, request, timeout_s, show_stats=True)
            return
        from townsfolk.cli.plain import event_line

        async for event in town.say(request, timeout_s):
            typer.echo(event_line(event))


class Spoken:
    """What one line came to: its turn, its text so far, and its stats once it has ended."""

    def __init__(self) -> None:
        self.turn_id = ""
        self.text = ""
        self.stats: TurnStats | None = None


async def speak(
    town: Town, request: SayRequest, timeout_s: float, *, name: str = "", show_stats: bool, spoken: Spoken | None = None
) -> None:
    """Print a line as it is spoken: in a terminal behind the speaker's name, else the bare text.

    `spoken` is filled on the way, so that a caller who cuts the line off knows what was heard.
    """
    spoken = spoken if spoken is not None else Spoken()
    output = output_console()
    dim = output if output.is_terminal else error_console()
    label = ""
    if output.is_terminal or name:
        label = name or (await town.persona(request.persona_id)).name
        output.print(
            label, end="  ", style=f"bold {colours_of([request.persona_id])[request.persona_id]}", markup=False
        )
    writer = WordWrapper(output, 0, len(label) + 2) if output.is_terminal else None
    asides: list[str] = []
    try:
        async for event in town.say(request, timeout_s):
            spoken.turn_id = event.turn_id
            _take(event, spoken, asides)
            if event.WhichOneof("event") == "speech_delta":
                if writer is None:
                    output.file.write(event.speech_delta.text)
                    output.file.flush()
                else:
                    writer.write(event.speech_delta.text)
    finally:
        if writer is not None:
            writer.flush()
        if spoken.text or label:
            output.print()
    if asides:
        dim.print("\n".join(asides), style="italic dim", markup=False)
    if show_stats and spoken.stats is not None:
        dim.print(cost_in_words(spoken.stats), style="dim", markup=False)


def _take(event: TurnEvent, spoken: Spoken, asides: list[str]) -> None:
    from townsfolk.v1.common_pb2 import FINISH_REASON_DEADLINE

    match event.WhichOneof("event"):
        case "speech_delta":
            spoken.text += event.speech_delta.text
        case "emotion":
            asides.append(f"({event.emotion.name})")
        case "action":
            asides.append(f"→ {action_in_words(event.action)}")
        case "finished":
            spoken.stats = event.finished.stats
            if event.finished.reason == FINISH_REASON_DEADLINE and not event.finished.fallback:
                asides.append("(cut short: its time was up)")
            if event.finished.fallback:
                asides.append(f"(the persona's own fallback line: {event.finished.fallback_reason})")


def action_in_words(action: Action) -> str:
    """`sell_remedy(remedy='burn_salve', price_coppers=3)`."""
    from townsfolk.cli.plain import to_plain

    arguments = to_plain(action.arguments)
    return f"{action.name}({', '.join(f'{key}={value!r}' for key, value in sorted(arguments.items()))})"
