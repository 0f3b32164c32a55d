"""The line that a person types into the developer console: history, and completion by the daemon."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory

from townsfolk.cli.state import make_state_dir
from townsfolk.errors import TownsfolkError
from townsfolk.v1.console_pb2 import CompleteResponse

HISTORY_FILE = "console_history"
OWNER_ONLY = 0o600
MARK = FormattedText([("bold", "town> ")])

Ask = Callable[[str, int], Awaitable[CompleteResponse]]


class DaemonCompleter(Completer):
    """Asks the daemon, which knows its commands, personas, sessions and turns."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Nothing: the prompt runs in an event loop and asks ``get_completions_async``."""
        return ()

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """What may stand at the cursor; nothing where the daemon does not answer."""
        cursor = document.cursor_position
        try:
            answer = await self._ask(document.text, cursor)
        except TownsfolkError:
            return
        # a completion of the prompt ends at the cursor, one of the daemon at the end of the word
        rest = document.text[cursor : answer.replace_end]
        for completion in answer.completions:
            text = completion.text.removesuffix(rest)
            yield Completion(
                text,
                start_position=min(0, answer.replace_start - cursor),
                display=completion.text,
                display_meta=completion.description,
            )


def console_prompt(ask: Ask) -> PromptSession[str]:
    """A prompt with a history that only its owner can read."""
    path = make_state_dir() / HISTORY_FILE
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, OWNER_ONLY))
    return PromptSession(
        MARK, history=FileHistory(str(path)), completer=DaemonCompleter(ask), complete_while_typing=False
    )
