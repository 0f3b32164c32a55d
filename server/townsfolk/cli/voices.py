"""`townsfolk voices`: one text under many adapters at once."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from townsfolk.cli.report_file import ReportFormat, check_destination, format_of
from townsfolk.cli.say import AddressOption
from townsfolk.cli.terminal import counted, error_console, output_console
from townsfolk.errors import FailedPrecondition, InvalidArgument, TownsfolkError

if TYPE_CHECKING:
    from townsfolk.cli.client import Town
    from townsfolk.cli.voices_report import Report
    from townsfolk.v1.preview_pb2 import CompareRequest

PART_CHARACTERS = 4000  # the most that the daemon takes in one line
LEAST_PART_CHARACTERS = 250
PART_TIMEOUT_S = 300.0  # a busy laptop may need a while for a page under many adapters
SEED_BITS = 32  # short enough to type again


def voices(
    source: Annotated[str, typer.Argument(metavar="TEXT_OR_FILE", help="A text, a file, or - for standard input.")],
    adapters: Annotated[
        str,
        typer.Option(
            "--adapters",
            "-a",
            help="Ids of personas with commas between. ID@0.5 applies an adapter at half strength, `base` is the "
            "model without one.",
        ),
    ],
    system: Annotated[
        str | None, typer.Option(help="One system prompt for all, in place of their own.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed gives the same texts. Default: one for all.", min=0, show_default=False),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="0 to 4; 0 takes the likeliest word. Default: the personas'.", min=0, max=4, show_default=False
        ),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Longest text in tokens. Default: the personas'.", min=1, max=2048, show_default=False),
    ] = None,
    part_characters: Annotated[
        int,
        typer.Option(
            help="A longer document is read in parts of at most so many characters.",
            min=LEAST_PART_CHARACTERS,
            max=PART_CHARACTERS,
        ),
    ] = PART_CHARACTERS,
    compare: Annotated[
        bool, typer.Option("--compare", help="Measure one after another too, and show what one batch saved.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a report: .md, .json or .csv.", show_default=False)
    ] = None,
    report_format: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="Of the report. Without --out it is printed.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a report that exists.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds each part may take.", min=0.1, max=600)] = PART_TIMEOUT_S,
    address: AddressOption = None,
) -> None:
    """Hear one text in many voices: every adapter works on it at once, in one batch.

    A persona without an adapter works by its prompt. A document longer than --part-characters is read in parts, one
    after another, cut between paragraphs.

    Example: townsfolk voices report.md --adapters summariser,style_reviewer --out reviewed.md
    """
    from townsfolk.cli.document import parts_of, read_document
    from townsfolk.cli.preview_variants import make_voices
    from townsfolk.cli.voices_report import Report
    from townsfolk.v1.preview_pb2 import CompareRequest

    report_format = format_of(out, report_format)
    if out is not None:
        check_destination(out, force=force)
    request = CompareRequest(variants=make_voices(adapters, system))
    request.sampling.seed = secrets.randbits(SEED_BITS) if seed is None else seed
    if temperature is not None:
        request.sampling.temperature = temperature
    if max_tokens is not None:
        request.sampling.max_tokens = max_tokens
    document = read_document(source)
    parts = parts_of(document.text, part_characters)
    if len(parts) > 1:
        error_console().print(
            f"{document.name or 'the text'} has {len(document.text):,} characters and is read in "
            f"{counted(len(parts), 'part')}",
            style="dim",
            markup=False,
        )
    persona_ids = [variant.persona_id for variant in request.variants]
    report = Report(document.name, "", request.sampling.seed, persona_ids)
    asyncio.run(_voices(report, request, parts, address, timeout, out, report_format, compare=compare))


async def _voices(
    report: Report,
    request: CompareRequest,
    parts: list[str],
    address: str | None,
    timeout_s: float,
    out: Path | None,
    report_format: ReportFormat | None,
    *,
    compare: bool,
) -> None:
    """Speak all parts; what has been spoken is reported even if the rest never comes."""
    from townsfolk.cli.client import Town
    from townsfolk.cli.launch import find_or_start
    from townsfolk.cli.voices_measure import measure
    from townsfolk.cli.voices_report import as_text, write_report

    errors = error_console()
    printed = report_format is not None and out is None
    async with Town(await find_or_start(address, errors)) as town:
        await _tell_of_missing_adapters(town, report.persona_ids)
        report.model = (await town.stats()).model.name
        try:
            await _speak(town, report, request, parts, timeout_s, shown=not printed)
            if compare:
                with errors.status("Measuring one after another …", spinner="dots"):
                    report.measured = await measure(town, request, [part.text for part in report.parts], timeout_s)
        finally:
            if any(voice.text for part in report.parts for voice in part.voices):
                if not printed:
                    _print_figures(report)
                elif report_format is not None:
                    typer.echo(as_text(report, report_format), nl=False)
                if out is not None and report_format is not None:
                    write_report(report, report_format, out)
                    errors.print(f"{out} written", style="dim", markup=False)
    failed = [voice for part in report.parts for voice in part.voices if voice.error]
    if failed:
        raise FailedPrecondition(f"{counted(len(failed), 'voice')} failed; {failed[0].label}: {failed[0].error}")


async def _tell_of_missing_adapters(town: Town, persona_ids: Sequence[str]) -> None:
    """Raises ``NotFound`` for a persona that the daemon does not know."""
    for persona_id in dict.fromkeys(filter(None, persona_ids)):
        persona = await town.persona(persona_id)
        if not persona.adapter.digest and not persona.problems:  # problems are the daemon's to tell
            message = f"{persona.name} has no adapter here and speaks by its prompt alone"
            error_console().print(message, style="dim", markup=False)


async def _speak(
    town: Town, report: Report, request: CompareRequest, parts: list[str], timeout_s: float, *, shown: bool
) -> None:
    """Speak the parts one after another. One that the context cannot hold is read in smaller ones."""
    from townsfolk.cli.comparing import speak_variants
    from townsfolk.cli.document import parts_of
    from townsfolk.cli.preview_view import Voice
    from townsfolk.cli.voices_report import Part
    from townsfolk.cli.voices_view import print_part

    output = output_console()
    screen = output if shown and output.is_terminal else None
    waiting = list(parts)
    while waiting:
        request.text = waiting.pop(0)
        part = Part(request.text, [Voice(variant.label, at) for at, variant in enumerate(request.variants)])
        began = time.monotonic()
        report.parts.append(part)
        try:
            await speak_variants(town, request, part.voices, timeout_s, screen=screen)
        except InvalidArgument as error:
            report.parts.pop()
            smaller = len(request.text) // 2
            if error.field != "text" or smaller < LEAST_PART_CHARACTERS:
                raise
            waiting[:0] = parts_of(request.text, smaller)
            message = f"a part of {len(request.text):,} characters does not fit the context and is read in smaller ones"
            error_console().print(message, style="dim")
            continue
        except BaseException as error:
            for voice in part.voices:
                if not voice.ended:
                    voice.error = error.message if isinstance(error, TownsfolkError) else "interrupted"
            raise
        finally:
            part.seconds = time.monotonic() - began
        if shown:
            print_part(output, part, len(report.parts), len(report.parts) + len(waiting))


def _print_figures(report: Report) -> None:
    from townsfolk.cli.voices_view import figures

    output = output_console()
    (output if output.is_terminal else error_console()).print(figures(report))
