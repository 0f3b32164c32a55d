"""Which turns run, which have just ended, and how many ended how."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass

from townsfolk.dialogue.events import FinishReason, Happening, TurnFailed, TurnFinished
from townsfolk.dialogue.running_turn import Turn
from townsfolk.errors import InvalidArgument, NotFound

KEPT_TURNS = 1024  # ids of ended turns that are still known
KEPT_S = 120.0


@dataclass(slots=True)
class TurnCounts:
    """Turns since the daemon started. ``finished`` counts cancelled ones too, ``failed`` refused ones."""

    finished: int = 0
    cancelled: int = 0
    failed: int = 0


class TurnRegistry:
    """All turns by their ids. An id stays taken for ``KEPT_S`` after its turn, the newest ``KEPT_TURNS`` of them."""

    def __init__(self) -> None:
        self.counts = TurnCounts()
        self._running: dict[str, Turn] = {}
        self._ended: dict[str, float] = {}  # in order of their ends

    @property
    def running(self) -> Collection[Turn]:
        """Turns that run or wait."""
        return self._running.values()

    def get(self, turn_id: str) -> Turn | None:
        """A turn that runs or waits."""
        return self._running.get(turn_id)

    def check_free(self, turn_id: str) -> None:
        """Raise ``InvalidArgument`` if the id is taken."""
        self._forget_old()
        if turn_id in self._running or turn_id in self._ended:
            raise InvalidArgument(f"turn_id {turn_id} was used already; choose another", field="turn_id")

    def add(self, turn: Turn) -> None:
        """A turn begins."""
        self._running[turn.id] = turn

    def remove(self, turn: Turn, last: Happening) -> None:
        """A turn ended with ``last``."""
        del self._running[turn.id]
        self._ended[turn.id] = time.monotonic()
        self._forget_old()
        if isinstance(last, TurnFailed):
            self.counts.failed += 1
        elif isinstance(last, TurnFinished):
            self.counts.finished += 1
            self.counts.cancelled += last.reason is FinishReason.CANCELLED

    def cancel(self, turn_id: str) -> bool:
        """Cancel a turn. Returns false if it had ended already; raises ``NotFound`` for one that is not known."""
        turn = self._running.get(turn_id)
        if turn is not None:
            return turn.cancel()
        self._forget_old()
        if turn_id not in self._ended:
            raise NotFound(f"no turn {turn_id[:128]!r} is known", field="turn_id")
        return False

    def cancel_session(self, session_id: str) -> int:
        """Cancel every turn of a session; returns how many there were."""
        return sum(turn.cancel() for turn in list(self._running.values()) if turn.session_id == session_id)

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

    def _forget_old(self) -> None:
        horizon = time.monotonic() - KEPT_S
        while self._ended:
            oldest = next(iter(self._ended))
            if len(self._ended) <= KEPT_TURNS and self._ended[oldest] >= horizon:
                return
            del self._ended[oldest]
