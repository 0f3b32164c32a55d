"""One command line while it runs, and what of the daemon commands work with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from townsfolk.daemon.console.command import Arguments, Command, shown
from townsfolk.daemon.console.output import Output
from townsfolk.daemon.dialogue_service import DialogueService
from townsfolk.daemon.live_settings import LiveSetting
from townsfolk.daemon.persona_service import PersonaService
from townsfolk.daemon.stats_service import StatsService
from townsfolk.dialogue.running_turn import Turn
from townsfolk.dialogue.trace import TurnTrace, trace_of
from townsfolk.dialogue.turn import TurnRunner
from townsfolk.errors import InvalidArgument, NotFound
from townsfolk.personas.library import PersonaLibrary

LAST = "last"  # instead of a turn's id
LEAST_ID_PREFIX = 4  # characters by which a turn can be named
SHOWN_ID_CHARACTERS = 8
OWN_ID = re.compile("[0-9a-f]{32}")  # an id that the daemon chose
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class ConsoleTown:
    """The daemon, as commands see it: they go through the services that games call."""

    runner: TurnRunner
    library: PersonaLibrary
    dialogue: DialogueService
    personas: PersonaService
    stats: StatsService
    settings: tuple[LiveSetting, ...]

    def turns(self, session_id: str = "") -> list[Turn | TurnTrace]:
        """Turns that run and turns that are kept, the one asked last first; of one session only, where one is named."""
        turns = [*self.runner.traces, *self.runner.registry.running]
        ours = [turn for turn in turns if not session_id or turn.session_id == session_id]
        return sorted(ours, key=lambda turn: turn.asked_unix_s, reverse=True)

    def trace(self, name: str, session_id: str = "") -> TurnTrace:
        """The turn of that id, of an id that begins so, or the last one. Raises ``NotFound`` or ``InvalidArgument``."""
        if name == LAST:
            newest = self.turns(session_id) or self.turns()
            if not newest:
                raise NotFound("nobody was asked for a line yet", field="turn_id")
            return as_trace(newest[0])
        return as_trace(_named(name, self.turns(), "kept"))

    def running_turn(self, name: str) -> Turn:
        """The turn of that id, or of an id that begins so. Raises ``NotFound`` or ``InvalidArgument``."""
        return _named(name, list(self.runner.registry.running), "running")


@dataclass(frozen=True, slots=True)
class Call:
    """A command with its arguments. ``session_id`` is the console's own session, empty without one."""

    town: ConsoleTown
    command: Command
    arguments: Arguments
    output: Output
    session_id: str
    context: Context

    @property
    def session_in_use(self) -> str:
        """The session named in the line, else the console's own."""
        return str(self.arguments.get("session", self.session_id))


def brief_id(turn_id: str) -> str:
    """The beginning of an id that the daemon chose, enough to name the turn by; a game's own id as it is."""
    return turn_id[:SHOWN_ID_CHARACTERS] if OWN_ID.fullmatch(turn_id) else turn_id


def as_trace(turn: Turn | TurnTrace) -> TurnTrace:
    """What happened to the turn so far."""
    return trace_of(turn) if isinstance(turn, Turn) else turn


AnyTurn = TypeVar("AnyTurn", Turn, Turn | TurnTrace)


def _named(name: str, turns: list[AnyTurn], are: str) -> AnyTurn:
    found = [turn for turn in turns if turn.id == name]
    if not found and len(name) >= LEAST_ID_PREFIX:
        found = [turn for turn in turns if turn.id.startswith(name)]
    if not found:
        raise NotFound(f"no turn {shown(name)} is {are}; npc.stats turns lists those that are", field="turn_id")
    if len(found) > 1:
        raise InvalidArgument(f"{len(found)} turns begin with {shown(name)}; give more of the id", field="turn_id")
    return found[0]
