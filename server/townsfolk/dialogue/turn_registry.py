"""Which turns run, which have just ended and what they said, and how many ended how."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from townsfolk.dialogue.events import FinishReason, Happening, TurnFailed, TurnFinished
from townsfolk.dialogue.running_turn import Turn
from townsfolk.dialogue.session import Session
from townsfolk.dialogue.turn_record import TurnRecord
from townsfolk.errors import InvalidArgument, NotFound

KEPT_TURNS = 1024  # ended turns that are still known
KEPT_EVENTS = 200_000  # of all of them together: about 30 MB
KEPT_S = 120.0


@dataclass(slots=True)
class TurnCounts:
    """Turns since the daemon started. ``finished`` counts cancelled and fallback ones too, ``failed`` refused ones."""

    finished: int = 0
    cancelled: int = 0
    fallback: int = 0
    failed: int = 0


class TurnRegistry:
    """All turns by their ids.

    Ended ones are kept for ``KEPT_S``, the newest ``KEPT_TURNS`` of them, fewer where they have more than
    ``KEPT_EVENTS`` events together. So long their ids stay taken.
    """

    def __init__(self) -> None:
        self.counts = TurnCounts()
        self.listeners: list[Callable[[Happening], None]] = []  # called with the last event of every turn
        self._running: dict[str, Turn] = {}
        self._ended: dict[str, tuple[float, TurnRecord]] = {}  # in order of their ends
        self._kept_events = 0

    @property
    def running(self) -> Collection[Turn]:
        """Turns that run or wait."""
        return self._running.values()

    def get(self, turn_id: str) -> Turn | None:
        """A turn that runs or waits."""
        return self._running.get(turn_id)

    def record_of(self, turn_id: str) -> TurnRecord:
        """What a turn streamed, whether it runs or has ended. Raises ``NotFound`` for one that is not known."""
        turn = self._running.get(turn_id)
        if turn is not None:
            return turn.record
        self.forget_old()
        if turn_id not in self._ended:
            raise NotFound(f"no turn {turn_id[:128]!r} is known; ended ones are for {KEPT_S:g} s", field="turn_id")
        return self._ended[turn_id][1]

    def check_free(self, turn_id: str) -> None:
        """Raise ``InvalidArgument`` if the id is taken."""
        self.forget_old()
        if turn_id in self._running or turn_id in self._ended:
            raise InvalidArgument(f"turn_id {turn_id} was used already; choose another", field="turn_id")

    def add(self, turn: Turn) -> None:
        """A turn begins."""
        self._running[turn.id] = turn

    def remove(self, turn: Turn, last: Happening, *, keep: bool = True) -> None:
        """A turn ends with ``last``. One that is not to be kept was never here: its id is free at once."""
        del self._running[turn.id]
        if keep:
            self._ended[turn.id] = (time.monotonic(), turn.record)
            self._kept_events += len(turn.record)
            self.forget_old()
        if isinstance(last, TurnFailed):
            self.counts.failed += 1
        elif isinstance(last, TurnFinished):
            self.counts.finished += 1
            self.counts.cancelled += last.reason is FinishReason.CANCELLED
            self.counts.fallback += last.fallback is not None
        for listener in self.listeners:
            listener(last)

    def cancel(self, turn_id: str) -> bool:
        """Cancel a turn. Returns false if it had ended already; raises ``NotFound`` for one that is not known."""
        turn = self._running.get(turn_id)
        if turn is not None:
            return turn.cancel()
        self.record_of(turn_id)
        return False

    def cancel_session(self, session_id: str) -> int:
        """Cancel every turn of a session; returns how many there were."""
        return sum(turn.cancel() for turn in list(self._running.values()) if turn.session_id == session_id)

    def cancel_abandoned(self, session: Session | None = None, persona_id: str = "") -> None:
        """Cancel turns that nobody listens to, all or one persona's in one session: they make way for others."""
        for turn in list(self._running.values()):
            if turn.abandoned and (session is None or (turn.session is session and turn.persona_id == persona_id)):
                turn.cancel()

    async def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no turn runs, at most so long. Returns whether that came about."""
        tasks = [turn.task for turn in self._running.values() if turn.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        return not self._running

    async def cancel_all(self) -> None:
        """Cancel every turn and wait until each has sent its last event."""
        for turn in list(self._running.values()):
            turn.cancel()
        tasks = [turn.task for turn in self._running.values() if turn.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    def forget_old(self) -> None:
        """Let go of ended turns that are too old or too many."""
        horizon = time.monotonic() - KEPT_S
        while self._ended:
            oldest, (ended_at, record) = next(iter(self._ended.items()))
            too_many = len(self._ended) > KEPT_TURNS or self._kept_events > KEPT_EVENTS
            if ended_at >= horizon and not too_many:
                return
            del self._ended[oldest]
            self._kept_events -= len(record)
