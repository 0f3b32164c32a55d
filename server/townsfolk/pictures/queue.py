"""Lets one order be painted at a time: a card holds one picture's work, and a server's progress tells of one job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from townsfolk.errors import DeadlineExceeded, ResourceExhausted


class PictureQueue:
    """First come, first painted.

    Args:
        max_waiting: orders that may wait for the one being painted.
        timeout_s: how long painting one may take, waiting not counted.
    """

    def __init__(self, max_waiting: int, timeout_s: float) -> None:
        self._max_waiting = max_waiting
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()
        self._present = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[asyncio.Timeout]:
        """Held while an order is painted; gives its deadline.

        Raises ``ResourceExhausted`` at once when too many wait, ``DeadlineExceeded`` when the time is over.
        """
        if self._present > self._max_waiting:
            raise ResourceExhausted(
                f"the queue of pictures is full ({self._max_waiting} wait); order this one when some are done",
                retry_after_s=10.0,
            )
        self._present += 1
        try:
            async with self._lock:
                try:
                    async with asyncio.timeout(self._timeout_s) as deadline:
                        yield deadline
                except TimeoutError as error:
                    if not deadline.expired():
                        raise
                    raise DeadlineExceeded(
                        f"the picture was not done within {self._timeout_s:g} s; "
                        "order fewer steps or a smaller one, or raise pictures.timeout_s"
                    ) from error
        finally:
            self._present -= 1
