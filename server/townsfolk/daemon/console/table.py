"""Tables of plain text that fit a width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells, set_cell_size

GAP = "  "
NARROWEST = 6  # an elastic column shrinks to this, then lines are cut


@dataclass(frozen=True, slots=True)
class Column:
    """``elastic`` columns give way where a table is too wide; numbers stand to the ``right``."""

    heading: str
    right: bool = False
    elastic: bool = False


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """The heading (empty if no column has one) and a line for each row, none of them wider than ``width``."""
    widths = [max([cell_len(c.heading), *(cell_len(row[i]) for row in rows)]) for i, c in enumerate(columns)]
    room = width - len(GAP) * (len(columns) - 1)
    while sum(widths) > room:
        wide = [i for i, column in enumerate(columns) if column.elastic and widths[i] > NARROWEST]
        if not wide:
            break
        widest = max(wide, key=lambda i: widths[i])
        rest = sorted((widths[i] for i in wide if i != widest), reverse=True)
        floor = max(rest[0] - 1 if rest else NARROWEST, NARROWEST)
        widths[widest] = max(floor, widths[widest] - (sum(widths) - room))
    return [
        shortened(GAP.join(_cell(text, widths[i], columns[i].right) for i, text in enumerate(row)).rstrip(), width)
        for row in ([c.heading for c in columns], *rows)
    ]


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines no wider than ``width``, broken between words where that is possible."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if cell_len(longer) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            *full, line = chop_cells(word, width)
            lines += full
        lines.append(line)
    return lines


def shortened(text: str, width: int) -> str:
    """The text, or its beginning and an ellipsis where it is wider than ``width``."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _cell(text: str, width: int, right: bool) -> str:
    text = shortened(text, width)
    return " " * (width - cell_len(text)) + text if right else set_cell_size(text, width)
