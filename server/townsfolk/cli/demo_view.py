"""How the demo looks: a panel for each speaker, side by side, and the tables at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from townsfolk.cli.terminal import counted, in_seconds, labelled, per_second

if TYPE_CHECKING:
    from townsfolk.v1.common_pb2 import TurnStats

PANEL_WIDTH = 36  # columns; narrower panels break every other word
MAX_COLUMNS = 4
CHROME_ROWS = 4  # header, footer, and a line of air around each
LEAST_BODY_ROWS = 2


@dataclass
class Line:
    """One persona's line in one round. Times in seconds of the monotonic clock."""

    persona_id: str
    name: str
    colour: str
    question: str
    situation: str = ""
    text: str = ""
    tokens: int = 0  # of the text so far; `stats` has the exact number
    stats: TurnStats | None = None
    fallback: bool = False
    error: str = ""

    @property
    def ended(self) -> bool:
        return self.stats is not None or bool(self.error)


@dataclass
class Round:
    """Lines asked at the same time."""

    number: int
    of: int
    lines: list[Line]
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0

    @property
    def duration_s(self) -> float:
        return (self.ended or time.monotonic()) - self.began


class LiveView:
    """The round as it is now; rich asks it anew for every frame."""

    def __init__(self, scene: Round, console: Console) -> None:
        self._round = scene
        self._console = console

    def __rich__(self) -> RenderableType:
        columns = columns_for(len(self._round.lines), self._console.width)
        rows = -(-len(self._round.lines) // columns)
        body = (self._console.height - CHROME_ROWS) // rows - 2
        if body < LEAST_BODY_ROWS:
            return Group(*(_compact(line, self._console.width) for line in self._round.lines), self._footer())
        return Group(_grid(self._round.lines, columns, self._console.width, min(body, 8)), self._footer())

    def _footer(self) -> Text:
        speaking = sum(1 for line in self._round.lines if not line.ended)
        tokens = sum(line.tokens for line in self._round.lines)
        rate = tokens / max(self._round.duration_s, 0.001)
        words = f" {speaking} speaking · {counted(tokens, 'token')} · {per_second(rate)} tokens/s"
        return Text(words, style="dim")


def columns_for(panels: int, width: int) -> int:
    """How many panels stand side by side: as many as fit, spread evenly over the rows."""
    most = max(1, min(width // PANEL_WIDTH, MAX_COLUMNS, panels))
    rows = -(-panels // most)
    return -(-panels // rows)


def finished_round(scene: Round, console: Console) -> RenderableType:
    """The round with every line in full."""
    columns = columns_for(len(scene.lines), console.width)
    return _grid(scene.lines, columns, console.width, None)


def lines_table(rounds: Sequence[Round]) -> Table:
    """What each character's lines cost, one row a character, the rounds side by side in each cell."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("round " + " / ".join(str(scene.number) for scene in rounds))
    for heading in ("tokens", "first token", "tokens/s", "prompt", "of it cached"):
        table.add_column(heading, justify="right")
    for lines in zip(*(scene.lines for scene in rounds), strict=True):
        stats = [line.stats for line in lines]
        table.add_row(
            Text(lines[0].name, style=lines[0].colour),
            _side_by_side(stats, lambda turn: str(turn.completion_tokens)),
            _side_by_side(stats, lambda turn: in_seconds(turn.time_to_first_token_s)),
            _side_by_side(stats, lambda turn: per_second(turn.tokens_per_s)),
            _side_by_side(stats, lambda turn: str(turn.prompt_tokens)),
            _side_by_side(stats, lambda turn: str(turn.cached_prompt_tokens)),
        )
    return table


def _side_by_side(stats: Sequence[TurnStats | None], show: Callable[[TurnStats], str]) -> str:
    return " / ".join("–" if turn is None else show(turn) for turn in stats)


def town_table(town: dict[str, Any]) -> Table:
    """What the town did as a whole; `town` as `demo_report.town_summary` makes it."""
    spoken = f"{counted(town['tokens'], 'token')} in {in_seconds(town['speaking_s'])}"
    steps = counted(town["decode_steps"], "decode step")
    cached = counted(town["cached_prompt_tokens"], "prompt token")
    rows = [
        ("throughput", f"{per_second(town['tokens_per_s'])} tokens/s: {spoken}"),
        ("largest batch", f"{counted(town['largest_batch_rows'], 'line')} in one decode step"),
        ("most adapters", f"{town['largest_batch_adapters']} different ones in one decode step"),
        ("shared steps", f"{town['shared_step_share']:.0%} of {steps} served two or more adapters"),
        ("prefix cache", f"{cached} of {town['prompt_tokens']:,} not read again"),
    ]
    return labelled(rows)


def _grid(lines: Sequence[Line], columns: int, width: int, body_rows: int | None) -> Table:
    """Panels in rows. `body_rows` fixes their height, so that nothing jumps while text grows."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    panel_width = width // columns - 1
    for _ in range(columns):
        grid.add_column(width=panel_width)
    for start in range(0, len(lines), columns):
        row = lines[start : start + columns]
        height = body_rows or max(len(_wrapped(_content(line, None), panel_width)) for line in row)
        grid.add_row(*(_panel(line, panel_width, height, fixed=body_rows is not None) for line in row))
    return grid


def _panel(line: Line, width: int, body_rows: int, *, fixed: bool) -> Panel:
    content = _content(line, width - 4 if fixed else None)
    wrapped = _wrapped(content, width)
    if len(wrapped) > body_rows:  # keep the question, and the end of what is being said
        wrapped = [wrapped[0], *wrapped[len(wrapped) - body_rows + 1 :]]
    style = "dim" if line.ended else line.colour
    return Panel(
        Text("\n").join(wrapped),
        title=Text(f" {line.name} ", style=f"bold {line.colour}"),
        title_align="left",
        subtitle=Text(f" {_progress(line)} ", style="dim"),
        subtitle_align="right",
        border_style=style,
        width=width,
        height=body_rows + 2,
        padding=(0, 1),
    )


def _content(line: Line, question_width: int | None) -> Text:
    """Question and answer; the question on one line where `question_width` says how long that may be."""
    question = line.question
    if question_width is not None and len(question) > question_width:
        question = question[: question_width - 1].rstrip() + "…"
    content = Text(question, style="dim italic")
    content.append("\n")
    if line.error:
        content.append(line.error, style="red not italic not dim")
    else:
        content.append(line.text or ("…" if not line.ended else ""), style="not italic not dim")
    return content


def _wrapped(content: Text, panel_width: int) -> list[Text]:
    return list(content.wrap(Console(width=panel_width), panel_width - 4))


def _progress(line: Line) -> str:
    if line.error:
        return "failed"
    if line.stats is None:
        return counted(line.tokens, "token") if line.tokens else "listening"
    words = f"{counted(line.stats.completion_tokens, 'token')} · {per_second(line.stats.tokens_per_s)}/s"
    return f"{words} · fallback" if line.fallback else words


def _compact(line: Line, width: int) -> Text:
    """One row for one speaker, for a terminal too small for panels."""
    return tail_row(line.name, line.colour, line.error or line.text, width)


def tail_row(name: str, colour: str, text: str, width: int) -> Text:
    """A name and the end of what it says, in one row of ``width`` columns."""
    row = Text.assemble((f"{name}  ", f"bold {colour}"), no_wrap=True, overflow="ellipsis")
    room = max(width - row.cell_len, 8)
    said = Text(text.replace("\n", " "))
    if said.cell_len > room:
        said = Text("…").append(said.plain[-(room - 1) :])
    row.append_text(said)
    return row
