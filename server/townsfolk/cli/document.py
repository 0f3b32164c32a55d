"""The text that a command is given: the words themselves, a file or standard input; and a long one cut into parts."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from townsfolk.errors import InvalidArgument, NotFound

MAX_DOCUMENT_BYTES = 256 * 1024
STANDARD_INPUT = "-"
# One word that is more likely a misspelt file than a text: a folder before it, or an ending that texts have.
LIKE_A_FILE = re.compile(
    r"(?:[a-z]:[\\/]|\\\\|~[\\/]|\.{1,2}[\\/]|/).*|\S+\.(?:md|markdown|txt|rst|adoc|tex|log)", re.I
)
# Where a part may end, best first: between paragraphs, lines, sentences, words.
BORDERS = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"(?<=[.!?。！？…])\s*"), re.compile(r"\s+"))
LEAST_FILL = 2  # a part ends at the best border beyond this fraction of its room


@dataclass(frozen=True)
class Document:
    """A text and where it is from; ``name`` is empty for words of the command line."""

    text: str
    name: str = ""


def read_document(words: str) -> Document:
    """The document that ``words`` name: a file, ``-`` for standard input, or the text itself.

    Files are UTF-8, or UTF-16 with a byte order mark. Raises ``NotFound`` for what looks like a file and is none,
    ``InvalidArgument`` for one that is too long, no text, or empty.
    """
    if words == STANDARD_INPUT:
        document = Document(_decoded(_bounded(sys.stdin.buffer, "standard input"), "standard input"), "standard input")
    elif (path := _existing_path(words)) is not None:
        with path.open("rb") as file:  # a folder is told of by the system
            document = Document(_decoded(_bounded(file, path.name), path.name), path.name)
    elif LIKE_A_FILE.fullmatch(words):
        raise NotFound(f"there is no file {words}; a text that looks like one can come through standard input, with -")
    else:
        document = Document(words)
    if not document.text.strip():
        raise InvalidArgument(f"{document.name or 'the text'} is empty", field="text")
    return document


def parts_of(text: str, most: int) -> list[str]:
    """The text in parts of at most ``most`` characters, cut between paragraphs where it can be, else lower down."""
    return list(_cut(text.replace("\r\n", "\n").replace("\r", "\n").strip(), most))


def _cut(text: str, most: int) -> Iterator[str]:
    while len(text) > most:
        end = _border(text, most)
        if part := text[:end].strip():
            yield part
        text = text[end:].strip()
    if text:
        yield text


def _border(text: str, most: int) -> int:
    for border in BORDERS:
        ends = [found.start() for found in border.finditer(text, most // LEAST_FILL, most)]
        if ends:
            return ends[-1]
    return most


def _existing_path(words: str) -> Path | None:
    try:
        path = Path(words).expanduser()
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):  # too long for a path, or no path at all
        return None


def _bounded(file: IO[bytes], name: str) -> bytes:
    content = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(content) > MAX_DOCUMENT_BYTES:
        raise InvalidArgument(
            f"{name} is longer than {MAX_DOCUMENT_BYTES // 1024} KiB; give a part of it", field="text"
        )
    return content


def _decoded(content: bytes, name: str) -> str:
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgument(
            f"{name} is no UTF-8 text (byte {content[error.start]:#04x} at {error.start:,}); save it as UTF-8",
            field="text",
        ) from error
    if "\0" in text:
        raise InvalidArgument(f"{name} is no text: it has zero bytes", field="text")
    return text
