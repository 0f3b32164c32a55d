"""Where the words come from that the Tab key offers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from townsfolk.dialogue.running_turn import Turn
from townsfolk.dialogue.trace import TurnTrace

if TYPE_CHECKING:
    from townsfolk.daemon.console.call import ConsoleTown

MAX_SUGGESTIONS = 64
MAX_DESCRIPTION_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A word that may stand in a place, and what it is in a few words."""

    text: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for: words that begin as ``begun`` does, for a console with ``session_id`` (may be empty).

    ``before`` are the values of the parameters that stand before this one.
    """

    begun: str
    session_id: str = ""
    before: tuple[str, ...] = ()

    def best(self, words: Iterable[str]) -> list[str]:
        """Words that begin as wished, else those that hold it somewhere; in their order, at most 64, none twice."""
        wish, known = self.begun.casefold(), list(dict.fromkeys(words))
        begin = [word for word in known if word.casefold().startswith(wish)]
        return (begin or [word for word in known if wish in word.casefold()])[:MAX_SUGGESTIONS]


Source = Callable[["ConsoleTown", Wish], Awaitable[list[Suggestion]]]


async def personas(town: ConsoleTown, wish: Wish) -> list[Suggestion]:
    """Ids of personas, with their names and summaries."""
    return await asyncio.to_thread(_personas, town, wish)


async def sessions(town: ConsoleTown, wish: Wish) -> list[Suggestion]:
    """Ids of open sessions, with who takes part; the newest first."""
    known = {session.id: ", ".join(session.persona_ids) for session in reversed(list(town.runner.sessions))}
    return [Suggestion(session_id, in_brief(known[session_id])) for session_id in wish.best(known)]


async def running_turns(town: ConsoleTown, wish: Wish) -> list[Suggestion]:
    """Ids of turns that run, and `all`."""
    return _turns(wish, [t for t in town.turns() if isinstance(t, Turn)], "all", "every turn that runs")


async def traced_turns(town: ConsoleTown, wish: Wish) -> list[Suggestion]:
    """`last`, and ids of turns that run or are kept; the console's own session first, then the newest."""
    turns = [*(town.turns(wish.session_id) if wish.session_id else ()), *town.turns()]
    return _turns(wish, turns, "last", "the turn asked last")


async def settings(town: ConsoleTown, wish: Wish) -> list[Suggestion]:
    """Names of settings, with what they are now."""
    known = {setting.name: setting for setting in town.settings}
    return [Suggestion(name, f"{known[name].value}: {known[name].help}") for name in wish.best(known)]


async def setting_values(town: ConsoleTown, wish: Wish) -> list[Suggestion]:
    """What the setting named before is now, and what it is by default."""
    named = next((setting for setting in town.settings if setting.name in wish.before), None)
    if named is None:
        return []
    known = {named.default: "default", named.value: "now"}
    return [Suggestion(value, known[value]) for value in wish.best(known)]


def choices(**words: str) -> Source:
    """A few fixed words with their descriptions."""

    async def offer(_: ConsoleTown, wish: Wish) -> list[Suggestion]:
        return [Suggestion(word, words[word]) for word in wish.best(words)]

    return offer


def in_brief(text: str) -> str:
    """The beginning of a text that may be long."""
    return text if len(text) <= MAX_DESCRIPTION_CHARACTERS else text[: MAX_DESCRIPTION_CHARACTERS - 1].rstrip() + "…"


def _personas(town: ConsoleTown, wish: Wish) -> list[Suggestion]:
    found: list[Suggestion] = []
    for persona_id in wish.best(town.library.ids()):
        loaded, problems = town.library.look(persona_id)
        about = f"{loaded.persona.name}: {loaded.persona.summary}" if loaded else f"cannot be read: {problems[0]}"
        found.append(Suggestion(persona_id, in_brief(about)))
    return found


def _turns(wish: Wish, turns: Iterable[Turn | TurnTrace], word: str, about: str) -> list[Suggestion]:
    known = {word: about, **{turn.id: in_brief(f"{turn.persona_id}: {turn.spoken or '…'}") for turn in turns}}
    return [Suggestion(name, known[name]) for name in wish.best(known)]
