"""What a command prints: cleaned text with a style, in tables and lines that fit the console."""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from townsfolk.daemon.console.table import GAP, Column, fitted, shortened, wrapped
from townsfolk.v1.console_pb2 import (
    CONSOLE_STYLE_DETAIL,
    CONSOLE_STYLE_ERROR,
    CONSOLE_STYLE_HEADING,
    CONSOLE_STYLE_PLAIN,
    CONSOLE_STYLE_SPEECH,
    CONSOLE_STYLE_WARNING,
    ConsoleStyle,
    ExecuteResponse,
)

MAX_PIECE_CHARACTERS = 16_384

Write = Callable[[ExecuteResponse], Awaitable[None]]


class Output:
    """Writes to one console.

    Args:
        write: sends one response.
        columns: width of the console in characters.
    """

    def __init__(self, write: Write, columns: int) -> None:
        self._write = write
        self.columns = columns

    async def plain(self, line: str) -> None:
        """A line of ordinary text."""
        await self._put(f"{line}\n", CONSOLE_STYLE_PLAIN)

    async def heading(self, line: str) -> None:
        """What stands over the lines that follow."""
        rows = wrapped(one_line(line), self.columns)
        await self._put("".join(f"{row}\n" for row in rows), CONSOLE_STYLE_HEADING)

    async def speech(self, text: str) -> None:
        """Words of a persona; a piece of a line as a rule."""
        await self._put(text, CONSOLE_STYLE_SPEECH)

    async def detail(self, line: str) -> None:
        """A line of lesser interest."""
        await self._put(f"{line}\n", CONSOLE_STYLE_DETAIL)

    async def warning(self, line: str) -> None:
        """Something to look into; the command goes on."""
        await self._put(f"{line}\n", CONSOLE_STYLE_WARNING)

    async def error(self, sentence: str, line: str = "", span: tuple[int, int] | None = None) -> None:
        """What went wrong, under the part of the command line that is at fault where one is."""
        pointer = "".join(f"{row}\n" for row in point_at(line, span, self.columns)) if span else ""
        await self._put(f"{pointer}{sentence}\n", CONSOLE_STYLE_ERROR)

    async def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """Rows under their headings, no wider than the console: what does not fit is cut."""
        heading, *lines = fitted(columns, [[one_line(cell) for cell in row] for row in rows], self.columns)
        if heading:
            await self.heading(heading)
        if lines:
            await self.plain("\n".join(lines))

    async def labelled(self, rows: Iterable[tuple[str, str]]) -> None:
        """Labels and their values, which may take several lines."""
        known = [(one_line(label), cleaned(value)) for label, value in rows]
        indent = min(max((cell_len(label) for label, _ in known), default=0), self.columns // 2)
        lines: list[str] = []
        for label, value in known:
            first, *more = wrapped(value, self.columns - indent - len(GAP))
            lines.append(f"{set_cell_size(shortened(label, indent), indent)}{GAP}{first}".rstrip())
            lines += [f"{' ' * indent}{GAP}{line}" for line in more]
        await self.plain("\n".join(lines))

    async def _put(self, text: str, style: ConsoleStyle) -> None:
        text = cleaned(text)
        for start in range(0, len(text), MAX_PIECE_CHARACTERS):
            await self._write(ExecuteResponse(text=text[start : start + MAX_PIECE_CHARACTERS], style=style))


def cleaned(text: str) -> str:
    """Text that is only text: no terminal control codes, nothing that turns the direction of what stands beside it.

    A tab becomes a space; of control characters only the line break is left.
    """
    return "".join(_harmless(character) for character in text)


def one_line(text: str) -> str:
    """The text with its line breaks shown as such, for the cell of a table."""
    return cleaned(text.replace("\n", "⏎"))


def point_at(line: str, span: tuple[int, int], columns: int) -> tuple[str, str]:
    """Two rows of a console: the line around the span, and carets under it. A place at the end has one caret."""
    start, end = min(span[0], len(line)), min(max(span[1], span[0] + 1), max(len(line), span[0] + 1))
    first = max(0, start - columns // 4) if len(line) > columns - 1 else 0
    before = "…" if first else ""
    shown = before + one_line(line[first:])
    indent = cell_len(before + one_line(line[first:start]))
    carets = max(1, cell_len(one_line(line[start:end])))
    return shortened(shown, columns), " " * indent + "^" * max(1, min(carets, columns - indent))


def _harmless(character: str) -> str:
    if character == "\n" or (" " <= character <= "~"):
        return character
    match unicodedata.category(character):
        case "Cc":
            return " " if character == "\t" else ""
        case "Zl" | "Zp":
            return " "
        case "Cs":
            return "�"
        case "Cf":
            return "" if unicodedata.bidirectional(character) in BIDI_CONTROLS else character
    return character


BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
