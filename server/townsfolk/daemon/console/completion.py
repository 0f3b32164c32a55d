"""How a line may go on: what the Tab key offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from townsfolk.daemon.console.call import ConsoleTown
from townsfolk.daemon.console.command import PREFIX, Command, Option, Parameter
from townsfolk.daemon.console.suggestions import MAX_SUGGESTIONS, Suggestion, Wish
from townsfolk.daemon.console.words import Word, quoted, scan


@dataclass(frozen=True, slots=True)
class Completions:
    """Words for the span from ``start`` to ``end``, quoted where needed."""

    suggestions: list[Suggestion]
    start: int
    end: int


async def complete(
    vocabulary: Mapping[str, Command], town: ConsoleTown, line: str, cursor: int, session_id: str
) -> Completions:
    """What may stand where the cursor does. The whole word around the cursor is replaced."""
    before = scan(line[:cursor])
    word = before.pop() if before and before[-1].end == cursor else None
    start = word.start if word else cursor
    whole = next((w for w in scan(line) if w.start == start and w.opened_by is None), None)
    end = max(whole.end, cursor) if whole else cursor
    begun = word.text if word else ""
    if not before:
        found = _commands(vocabulary, begun)
    else:
        command = vocabulary.get(before[0].text)
        found = await _Place(command, before[1:]).offer(town, begun, session_id) if command else []
    return Completions([Suggestion(_as_word(s.text), s.description) for s in found[:MAX_SUGGESTIONS]], start, end)


def _commands(vocabulary: Mapping[str, Command], begun: str) -> list[Suggestion]:
    """Commands that begin so, with or without ``npc.``."""
    wish = begun.casefold()
    full = [name for name in vocabulary if name.startswith(wish)]
    short = [name for name in vocabulary if name.removeprefix(PREFIX).startswith(wish)]
    return [Suggestion(name, vocabulary[name].summary) for name in dict.fromkeys([*full, *short])]


def _as_word(text: str) -> str:
    name, equals, value = text.partition("=")
    return f"{name}={quoted(value)}" if equals and name.startswith("--") else quoted(text)


class _Place:
    """A place in a command's arguments, behind the words that stand before it."""

    def __init__(self, command: Command, before: Sequence[Word]) -> None:
        self._command = command
        self._used: set[str] = set()
        self._values: list[str] = []
        self._option: Option | None = None  # whose value stands here
        self._options_over = False
        for word in before:
            self._pass(word.text)

    def _pass(self, text: str) -> None:
        if self._option is not None:
            self._option = None
        elif self._options_over or not text.startswith("--"):
            self._values.append(text)
        elif text == "--":
            self._options_over = True
        else:
            name, equals, _ = text[2:].partition("=")
            self._used.add(name)
            option = self._command.option(name)
            self._option = option if option is not None and option.kind is not None and not equals else None

    async def offer(self, town: ConsoleTown, begun: str, session_id: str) -> list[Suggestion]:
        """What may stand here, beginning as ``begun`` does."""
        wish = Wish(begun, session_id, tuple(self._values))
        if self._option is not None:
            return await self._option.source(town, wish) if self._option.source else []
        if begun.startswith("--") and not self._options_over:
            return await self._options(town, wish)
        parameter = self._parameter()
        found = await parameter.source(town, wish) if parameter and parameter.source else []
        if not found and not begun and not self._options_over:
            return self._names(wish)
        return found

    async def _options(self, town: ConsoleTown, wish: Wish) -> list[Suggestion]:
        name, equals, value = wish.begun[2:].partition("=")
        if not equals:
            return self._names(wish)
        option = self._command.option(name)
        if option is None or option.source is None:
            return []
        found = await option.source(town, Wish(value, wish.session_id))
        return [Suggestion(f"--{name}={suggestion.text}", suggestion.description) for suggestion in found]

    def _names(self, wish: Wish) -> list[Suggestion]:
        free = {f"--{o.name}": o.help for o in self._command.options if o.repeatable or o.name not in self._used}
        return [Suggestion(name, free[name]) for name in wish.best(free)]

    def _parameter(self) -> Parameter | None:
        place = len(self._values)
        parameters = self._command.parameters
        if place < len(parameters):
            return parameters[place]
        return parameters[-1] if parameters and parameters[-1].rest else None
