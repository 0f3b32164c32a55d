"""The events that wait to be sent on one stream: bounded, so that a slow reader costs a turn and not our memory."""

from __future__ import annotations

import asyncio
from collections import deque

from townsfolk.dialogue.events import TurnEvent
from townsfolk.errors import ResourceExhausted, TownsfolkError

# A line has at most 2048 tokens, so one line always fits; a scene of many lines on one stream may not.
MAX_WAITING_EVENTS = 4096


class Outbox:
    """A queue with one reader and many turns that write.

    Args:
        limit: events that may wait. A turn's last event is taken beyond it, because a turn always ends; whoever starts
            turns has to ``wait_for_room`` first.
    """

    def __init__(self, limit: int = MAX_WAITING_EVENTS) -> None:
        self._limit = limit
        self._events: deque[TurnEvent] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False
        self._error: TownsfolkError | None = None

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: TurnEvent) -> None:
        """Queue an event. Raises ``ResourceExhausted`` if the reader is too far behind."""
        if len(self._events) >= self._limit and not event.last:
            raise ResourceExhausted(f"the client does not read: {self._limit} events wait for it; read faster")
        self._events.append(event)
        if len(self._events) >= self._limit:
            self._room.clear()
        self._changed.set()

    def close(self, error: TownsfolkError | None = None) -> None:
        """No event will follow. The reader gets what waits, then ``error`` or the end."""
        self._closed = True
        self._error = self._error or error
        self._room.set()
        self._changed.set()

    async def wait_for_room(self) -> None:
        """Return once less than ``limit`` events wait."""
        await self._room.wait()

    async def get(self) -> TurnEvent | None:
        """The next event; ``None`` at the end. Raises the error that the outbox was closed with."""
        while not self._events:
            if self._closed:
                if self._error is not None:
                    raise self._error
                return None
            self._changed.clear()
            await self._changed.wait()
        event = self._events.popleft()
        if len(self._events) < self._limit:
            self._room.set()
        return event
