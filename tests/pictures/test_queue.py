"""One order is painted at a time, a bounded number waits, and none takes for ever."""

from __future__ import annotations

import asyncio

import pytest

from townsfolk.errors import DeadlineExceeded, ResourceExhausted
from townsfolk.pictures.queue import PictureQueue


async def test_orders_are_painted_one_at_a_time_in_their_order() -> None:
    queue, log = PictureQueue(max_waiting=2, timeout_s=60), []

    async def paint(name: str) -> None:
        async with queue.turn():
            log.append(f"{name} begins")
            await asyncio.sleep(0)
            log.append(f"{name} ends")

    await asyncio.gather(*(paint(name) for name in "abc"))
    assert log == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]


async def test_one_order_too_many_is_refused_and_the_others_go_on() -> None:
    queue, release = PictureQueue(max_waiting=1, timeout_s=60), asyncio.Event()

    async def paint() -> None:
        async with queue.turn():
            await release.wait()

    tasks = [asyncio.create_task(paint()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted, match="queue of pictures is full"):
        await paint()
    release.set()
    await asyncio.gather(*tasks)
    await paint()


async def test_an_order_that_takes_too_long_ends_with_its_deadline() -> None:
    queue = PictureQueue(max_waiting=1, timeout_s=0.01)
    with pytest.raises(DeadlineExceeded, match=r"raise pictures\.timeout_s"):
        async with queue.turn():
            await asyncio.Event().wait()
    async with queue.turn():
        pass
