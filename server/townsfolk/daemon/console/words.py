"""A command line as words, split as a POSIX shell does: quotes and backslashes count, nothing is expanded.

IEEE Std 1003.1-2017, Shell Command Language, 2.2 Quoting. Operators, comments, variables and patterns are ordinary
characters here, and a line break separates words.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from townsfolk.errors import InvalidArgument

SEPARATORS = " \t\r\n"
ESCAPED_IN_DOUBLE_QUOTES = '$`"\\\n'


class BadLine(InvalidArgument):
    """A line that cannot be understood. ``span`` is the part at fault, in characters counted from 0."""

    def __init__(self, message: str, span: tuple[int, int]) -> None:
        super().__init__(message, field="line")
        self.span = span


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes, and the span that it has with them.

    ``opened_by``: place of the quote that is never closed, or of the backslash that nothing follows.
    """

    text: str
    start: int
    end: int
    opened_by: int | None = None


def split(line: str) -> list[Word]:
    """The words of a whole line. Raises ``BadLine`` where the last one has no end."""
    words = scan(line)
    if not words or words[-1].opened_by is None:
        return words
    place = words[-1].opened_by
    if line[place] == "\\":
        raise BadLine("nothing follows the backslash at the end of the line", (place, place + 1))
    hint = '; put words that hold an apostrophe in double quotes: "don\'t"' if line[place] == "'" else ""
    raise BadLine(f"the quote at character {place + 1} is never closed{hint}", (place, place + 1))


def scan(line: str) -> list[Word]:
    """The words of a line that may still grow: the last one may be without its end."""
    words: list[Word] = []
    at = 0
    while at < len(line):
        if line[at] in SEPARATORS:
            at += 1
        elif line.startswith("\\\n", at):  # a continued line
            at += 2
        else:
            words.append(_word(line, at))
            at = words[-1].end
    return words


def quoted(text: str) -> str:
    """The text as one word, in quotes where it needs them."""
    return shlex.quote(text)


def _word(line: str, start: int) -> Word:
    text: list[str] = []
    quote, quote_at, at = "", 0, start
    while at < len(line):
        character = line[at]
        if character == quote:
            quote = ""
        elif not quote and character in SEPARATORS:
            break
        elif not quote and character in "'\"":
            quote, quote_at = character, at
        elif character == "\\" and quote != "'":
            if at + 1 == len(line):
                return Word("".join(text), start, at + 1, quote_at if quote else at)
            at += 1
            escaped = line[at]
            if quote and escaped not in ESCAPED_IN_DOUBLE_QUOTES:
                text.append("\\")
            if escaped != "\n":
                text.append(escaped)
        else:
            text.append(character)
        at += 1
    return Word("".join(text), start, at, quote_at if quote else None)
