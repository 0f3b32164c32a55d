"""What a turn streamed, event for event, so that a client that lost its connection can have it again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from townsfolk.dialogue.events import ENDS, Happening, TurnEvent, TurnFailed
from townsfolk.dialogue.session import PastTurn
from townsfolk.errors import TownsfolkError, from_status


@dataclass(slots=True, eq=False)
class TurnRecord:
    """All events of one turn, numbered from 0, and what its session was to remember of it.

    ``said`` is the exchange with the whole spoken line; ``None`` for a turn that said nothing, spoke a fallback line or
    belongs to no session. ``unheard`` tells that the session remembers less than that, because no stream carried the
    rest.
    """

    turn_id: str
    session_id: str
    persona_id: str
    said: PastTurn | None = None
    unheard: bool = False
    _happenings: list[Happening] = field(default_factory=list)
    _readers: list[asyncio.Future[None]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._happenings)

    @property
    def ended(self) -> bool:
        """Whether the last event is there."""
        return bool(self._happenings) and isinstance(self._happenings[-1], ENDS)

    @property
    def failure(self) -> TownsfolkError | None:
        """What the turn failed with, if it has."""
        last = self._happenings[-1] if self._happenings else None
        return last.error if isinstance(last, TurnFailed) else None

    def add(self, what: Happening) -> None:
        """The turn's next event. A delta may grow until it is read; see ``Outbox.settle``."""
        if isinstance(what, TurnFailed):  # a copy: an error that was raised holds on to all that it came through
            error = what.error
            copy = from_status(error.status, error.message, field=error.field, retry_after_s=error.retry_after_s)
            what = TurnFailed(copy)
        self._happenings.append(what)
        if self._readers:
            for reader in self._readers:
                if not reader.done():
                    reader.set_result(None)
            self._readers.clear()

    def events(self, start: int) -> list[TurnEvent]:
        """Those from number ``start`` on."""
        return [
            TurnEvent(self.turn_id, self.session_id, self.persona_id, start + offset, what)
            for offset, what in enumerate(self._happenings[start:])
        ]

    async def wait_for(self, number: int) -> None:
        """Return once event ``number`` is there, or the turn has ended without it."""
        while len(self) <= number and not self.ended:
            reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            try:
                await reader
            finally:
                if reader in self._readers:
                    self._readers.remove(reader)
