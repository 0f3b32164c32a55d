"""Shows what the developer console prints, in colour where that is a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from townsfolk.cli.terminal import WordWrapper
from townsfolk.v1.console_pb2 import (
    CONSOLE_STYLE_DETAIL,
    CONSOLE_STYLE_ERROR,
    CONSOLE_STYLE_HEADING,
    CONSOLE_STYLE_SPEECH,
    CONSOLE_STYLE_WARNING,
    ExecuteResponse,
)

STYLES: dict[int, str] = {
    CONSOLE_STYLE_HEADING: "bold",
    CONSOLE_STYLE_DETAIL: "dim",
    CONSOLE_STYLE_WARNING: "yellow",
    CONSOLE_STYLE_ERROR: "red",
}


class ConsoleView:
    """Takes the output of one command, piece by piece.

    Args:
        output: where it goes.
        errors: where errors go.
    """

    def __init__(self, output: Console, errors: Console) -> None:
        self._output = output
        self._errors = errors
        self._speech: WordWrapper | None = None
        self._mid_line = False
        self.error_shown = False

    def show(self, piece: ExecuteResponse) -> None:
        """Append a piece. Speech is broken between words where the terminal ends."""
        if piece.style == CONSOLE_STYLE_SPEECH and self._output.is_terminal:
            self._speech = self._speech or WordWrapper(self._output, 0, 0)
            self._speech.write(piece.text)
        else:
            self._end_speech()
            self.error_shown |= piece.style == CONSOLE_STYLE_ERROR
            console = self._errors if piece.style == CONSOLE_STYLE_ERROR else self._output
            console.print(Text(piece.text, STYLES.get(piece.style, "")), end="", soft_wrap=True)
            console.file.flush()
        if piece.text:
            self._mid_line = not piece.text.endswith("\n")

    def finish(self) -> None:
        """The command has ended, perhaps in the middle of a line."""
        self._end_speech()
        if self._mid_line:
            self._output.print()
            self._mid_line = False

    def _end_speech(self) -> None:
        if self._speech is not None:
            self._speech.flush()
            self._speech = None
