"""How many turns may be in flight, and when to come back if there are too many."""

from __future__ import annotations

import time

from townsfolk.errors import InvalidArgument, ResourceExhausted, TownsfolkError

BACKGROUND_SHARE = 0.75  # chatter leaves the last quarter to lines that a player waits for
MEAN_WEIGHT = 0.1  # of the newest turn in the running mean of durations
MIN_RETRY_S = 0.1
MAX_RETRY_S = 5.0


class Ticket:
    """The right to run one turn."""

    def __init__(self, admission: Admission) -> None:
        self._admission: Admission | None = admission
        self._since = time.monotonic()

    def release(self) -> None:
        """The turn has ended. Safe to call twice."""
        if self._admission is not None:
            self._admission._release(time.monotonic() - self._since)
            self._admission = None


class Admission:
    """Admits turns up to a limit.

    Args:
        max_turns: turns admitted and not yet ended.
    """

    def __init__(self, max_turns: int) -> None:
        self.max_turns = max_turns
        self._in_flight = 0
        self._mean_s = MIN_RETRY_S
        self._refusal: TownsfolkError | None = None

    @property
    def in_flight(self) -> int:
        """Turns admitted and not yet ended."""
        return self._in_flight

    def admit(self, priority: int = 0) -> Ticket:
        """Let a turn in. ``priority`` below 0 is chatter, refused first.

        Raises ``ResourceExhausted`` if too many are in flight, and what ``close`` was given.
        """
        return self.admit_all(1, priority)[0]

    def admit_all(self, count: int, priority: int = 0) -> list[Ticket]:
        """Let some turns in together, or none. Raises as ``admit``, and ``InvalidArgument`` for more than ever fit."""
        if self._refusal is not None:
            raise self._refusal
        limit = self.max_turns if priority >= 0 else max(1, int(self.max_turns * BACKGROUND_SHARE))
        if count > limit:
            raise InvalidArgument(
                f"{count} lines at once are more than the {limit} that this daemon lets in; ask for fewer, or raise "
                "daemon.max_queued_turns"
            )
        if self._in_flight + count > limit:
            raise ResourceExhausted(
                f"{self._in_flight} lines are being spoken or wait, and {limit} may be; try again shortly",
                retry_after_s=self.retry_after_s,
            )
        self._in_flight += count
        return [Ticket(self) for _ in range(count)]

    def close(self, refusal: TownsfolkError) -> None:
        """Refuse all turns from now on."""
        self._refusal = refusal

    @property
    def retry_after_s(self) -> float:
        """The mean duration of late: by then about all that is in flight now has made room."""
        return min(max(self._mean_s, MIN_RETRY_S), MAX_RETRY_S)

    def _release(self, duration_s: float) -> None:
        self._in_flight -= 1
        self._mean_s += MEAN_WEIGHT * (duration_s - self._mean_s)
