"""A painter by script, so that no test of stories needs a picture model."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Callable

from townsfolk.errors import Unavailable
from townsfolk.pictures.painter import PaintedPicture, PictureOrder

UNPAINTABLE = "something unpaintable"
SEVERAL_PIECES = 600_000  # bytes


class ScriptedPainter:
    """Paints pictures of one colour in ``steps`` steps; fails with ``errors`` first, one for each order.

    With ``hold`` it waits before its last step until that is set.
    """

    def __init__(self, steps: int = 4, *, padding: int = 0, hold: asyncio.Event | None = None) -> None:
        self.steps = steps
        self.errors: list[Exception | None] = []
        self.orders: list[PictureOrder] = []
        self.hold = hold
        self.holding = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.fail_start: Exception | None = None
        self.hold_start: asyncio.Event | None = None
        self.started = self.stopped = 0
        self._padding = padding

    async def start(self) -> None:
        self.started += 1
        if self.hold_start is not None:
            await self.hold_start.wait()
        if self.fail_start is not None:
            raise self.fail_start

    async def stop(self) -> None:
        self.stopped += 1

    async def paint(self, order: PictureOrder, on_step: Callable[[int, int], None]) -> PaintedPicture:
        self.orders.append(order)
        total = order.steps or self.steps
        try:
            for step in range(1, total + 1):
                if step == total:
                    error = self.errors.pop(0) if self.errors else None
                    if error is not None:
                        raise error
                    if self.hold is not None:
                        self.holding.set()
                        await self.hold.wait()
                on_step(step, total)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        png = plain_png(order.width, order.height, order.seed % 256, self._padding)
        return PaintedPicture(png, order.width, order.height, order.seed, total)


class PickyPainter(ScriptedPainter):
    """Paints pictures that come in several pieces, but none of what is unpaintable."""

    def __init__(self) -> None:
        super().__init__(padding=SEVERAL_PIECES)

    async def paint(self, order: PictureOrder, on_step: Callable[[int, int], None]) -> PaintedPicture:
        if UNPAINTABLE in order.prompt:
            raise Unavailable("the brush is gone", retry_after_s=1.5)
        return await super().paint(order, on_step)


def plain_png(width: int, height: int, grey: int, padding: int = 0) -> bytes:
    """A grey PNG, made longer by ``padding`` bytes of an ancillary chunk."""
    rows = b"".join(b"\0" + bytes([grey]) * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows))]
    chunks += [(b"prVt", bytes(padding))] if padding else []
    chunks.append((b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
