"""What all commands share of the terminal: consoles, colours, and the wording of numbers."""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from townsfolk.wording import counted as counted
from townsfolk.wording import in_seconds as in_seconds
from townsfolk.wording import per_second as per_second

MAX_WIDTH = 100  # columns; longer lines of prose are hard to read
NARROW_WIDTH = 20  # columns; below that wrapping does more harm than good
# Of middle lightness, to be read on black and on white.
COLOURS = ("#c08a2e", "#3f8fbf", "#4f9a4f", "#c25b52", "#8a6fd1", "#2f9c93", "#b8629a", "#8c8f3a", "#5c7fd6", "#b5733c")


def use_utf8() -> None:
    """Read and write UTF-8 whatever the code page of a Windows console or a bare C locale says."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and (stream.encoding or "").lower().replace("-", "") != "utf8":
            stream.reconfigure(encoding="utf-8", errors="replace")


def output_console() -> Console:
    """stdout, without rich's guessing at numbers and paths."""
    return Console(highlight=False)


def error_console() -> Console:
    """stderr; a sentence there is never broken into lines, so that a script finds it whole."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def colours_of(persona_ids: Iterable[str]) -> dict[str, str]:
    """A colour for each persona: its own where it can be, another where two would share one."""
    chosen: dict[str, str] = {}
    for persona_id in sorted(persona_ids):
        wish = zlib.crc32(persona_id.encode()) % len(COLOURS)
        row = [*COLOURS[wish:], *COLOURS[:wish]]
        chosen[persona_id] = next((colour for colour in row if colour not in chosen.values()), row[0])
    return chosen


class WordWrapper:
    """Prints text as it comes, broken between words at the terminal's width, with a hanging indent."""

    def __init__(self, console: Console, indent: int, column: int) -> None:
        self._console = console
        self._indent = " " * indent
        self._column = column
        self._width = min(console.width, MAX_WIDTH)
        self._word = ""

    def write(self, text: str) -> None:
        """Print all of `text` but its last word, which may still grow."""
        for character in text:
            if character in " \n":
                self.flush()
                self._space(character)
            else:
                self._word += character

    def flush(self) -> None:
        """Print the word that was held back."""
        if self._column + len(self._word) > self._width and self._column > len(self._indent):
            self._put("\n" + self._indent)
            self._column = len(self._indent)
        self._put(self._word)
        self._column += len(self._word)
        self._word = ""

    def _space(self, character: str) -> None:
        if character == "\n":
            self._put("\n" + self._indent)
            self._column = len(self._indent)
        elif self._column < self._width:
            self._put(" ")
            self._column += 1

    def _put(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()


def labelled(rows: Iterable[tuple[str, str]]) -> Table:
    """A frameless table of dim labels and their values."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for label, value in rows:
        table.add_row(label, value)
    return table
