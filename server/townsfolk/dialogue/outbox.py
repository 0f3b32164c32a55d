"""The events that wait to be sent on one stream: bounded, so that a slow reader costs a turn and not our memory."""

from __future__ import annotations

import asyncio

from townsfolk.dialogue.events import SpeechDelta, TurnEvent
from townsfolk.errors import ResourceExhausted, TownsfolkError

# A line has at most 2048 tokens, so one line always fits; a scene of many lines on one stream may not.
MAX_WAITING_EVENTS = 4096
# What one message carries: every turn of a full scene with one event each and room for ends, and far from gRPC's 4 MiB.
MAX_TAKEN_EVENTS = 128


class SlowReader(ResourceExhausted):
    """The client does not take what its turns say."""


class Outbox:
    """A queue with one reader and many turns that write.

    A delta whose turn has another one waiting is added to that: a stream which falls behind sends fewer and larger
    messages and so catches up.

    Args:
        limit: events that may wait, each delta counted. A turn's last event is taken beyond it, because a turn always
            ends; whoever starts turns has to ``wait_for_room`` first.
    """

    def __init__(self, limit: int = MAX_WAITING_EVENTS) -> None:
        self._limit = limit
        self._events: list[TurnEvent] = []
        self._growing: dict[str, SpeechDelta] = {}  # by turn: the waiting delta that is its last event so far
        self._waiting = 0
        self._reader: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False
        self._error: TownsfolkError | None = None

    def __len__(self) -> int:
        return self._waiting

    def put(self, event: TurnEvent) -> bool:
        """Queue an event. Returns false if it became part of one that waits, and so needs no number of its own.

        Raises ``SlowReader`` if the reader is too far behind.
        """
        if self._waiting >= self._limit and not event.last:
            raise SlowReader(f"the client does not read: {self._limit} events wait for it; read faster")
        self._waiting += 1
        if self._waiting >= self._limit:
            self._room.clear()
        what, turn_id = event.what, event.turn_id
        if not isinstance(what, SpeechDelta):
            self._growing.pop(turn_id, None)
        elif turn_id in self._growing:
            self._growing[turn_id].extend(what)
            return False
        else:
            self._growing[turn_id] = what
        self._events.append(event)
        if self._reader is not None:
            self._wake()
        return True

    def settle(self, turn_id: str) -> None:
        """What waits of this turn no longer grows, because somebody else has read it."""
        self._growing.pop(turn_id, None)

    def close(self, error: TownsfolkError | None = None) -> None:
        """No event will follow. The reader gets what waits, then ``error`` or the end."""
        self._closed = True
        self._error = self._error or error
        self._room.set()
        self._wake()

    async def wait_for_room(self) -> None:
        """Return once less than ``limit`` events wait."""
        await self._room.wait()

    async def take(self) -> list[TurnEvent]:
        """All that waits, up to ``MAX_TAKEN_EVENTS``; empty at the end. Raises the error it was closed with."""
        while not self._events:
            if self._closed:
                if self._error is not None:
                    raise self._error
                return []
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        events = self._events[:MAX_TAKEN_EVENTS]
        del self._events[:MAX_TAKEN_EVENTS]
        self._growing.clear()
        self._waiting = len(self._events)
        if self._waiting < self._limit:
            self._room.set()
        return events

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        self._reader = None
