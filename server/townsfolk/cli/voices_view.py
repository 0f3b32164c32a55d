"""How many voices look in a terminal: each part side by side, and at the end what they cost and shared."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from townsfolk.cli.preview_view import Voice, panels
from townsfolk.cli.shared_steps import measured_in_words, steps_in_words
from townsfolk.cli.terminal import counted, in_seconds, labelled, per_second
from townsfolk.cli.voices_report import Part, Report, cut_short


def print_part(output: Console, part: Part, number: int, of: int) -> None:
    """What was made of one part: side by side in a terminal, else one below the other."""
    several = f"part {number} of {of}" if of > 1 else ""
    if output.is_terminal:
        if several:
            output.print(several, style="dim")
        output.print(panels(part.voices, output.width))
        return
    for voice in part.voices:
        label = f"{several} · {voice.label}" if several else voice.label
        output.print(f"[{label}] {voice.error or voice.text}", markup=False, soft_wrap=True)


def figures(report: Report) -> RenderableType:
    """A row for each voice, all parts together, and what the batch as a whole did."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(overflow="fold")
    for heading in ("tokens", "first token", "tokens/s", "shared steps"):
        table.add_column(heading, justify="right")
    for voices in zip(*(part.voices for part in report.parts), strict=True):
        table.add_row(Text(voices[0].label, style=voices[0].colour), *_costs(voices))
    rows = [
        ("decoding", steps_in_words(report.steps)),
        ("time", f"{in_seconds(report.seconds)} for {counted(report.tokens, 'token')}"),
    ]
    if cut := cut_short(report):
        rows.append(("cut short", cut))
    if report.measured is not None:
        rows.append(("measured", measured_in_words(report.measured)))
    rows.append(("seed", str(report.seed)))
    return Group(table, Text(), labelled(rows))


def _costs(voices: Sequence[Voice]) -> list[str]:
    """Of one voice over all parts. The first token's time is that of the first part."""
    stats = [voice.stats for voice in voices if voice.stats is not None]
    if not stats:
        return ["failed", "", "", ""]
    timed = [turn for turn in stats if turn.tokens_per_s]
    decoding_s = sum(turn.completion_tokens / turn.tokens_per_s for turn in timed)
    rate = sum(turn.completion_tokens for turn in timed) / decoding_s if decoding_s else 0.0
    return [
        f"{sum(turn.completion_tokens for turn in stats):,}",
        in_seconds(stats[0].time_to_first_token_s),
        per_second(rate),
        f"{sum(turn.shared_steps for turn in stats):,}",
    ]
