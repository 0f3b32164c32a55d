"""A picture process by script, for the daemon's side of the pipe; what it does stands in the order's prompt.

``hang``: answers nothing more, not even cancelling. ``die``: ends. ``garbage``: sends what is no message.
``late``: sends a step and waits to be cancelled. Anything else is painted in two steps, grey all over.
"""

from __future__ import annotations

import struct
import sys
import time
import zlib

from townsfolk.config import PictureSettings
from townsfolk.frames import LENGTH_PREFIX
from townsfolk.pictures.messages import (
    CODEC,
    CancelPaint,
    Loaded,
    LoadFailed,
    Message,
    Paint,
    Painted,
    PaintFailed,
    StepDone,
)


def main() -> None:
    settings = PictureSettings.model_validate_json(sys.argv[1])
    if settings.model.endswith("broken"):
        send(LoadFailed("FAILED_PRECONDITION", "the model is broken"))
        return
    if settings.model.endswith("slow"):
        time.sleep(3600)
    send(Loaded(settings.model, "cpu", "float32", "full"))
    while (message := CODEC.read(sys.stdin.buffer)) is not None:
        if isinstance(message, Paint):
            paint(message)


def paint(message: Paint) -> None:
    match message.order.prompt:
        case "hang":
            time.sleep(3600)
        case "die":
            sys.exit(7)
        case "garbage":
            sys.stdout.buffer.write(LENGTH_PREFIX.pack(3) + b"abc")
            sys.stdout.buffer.flush()
            time.sleep(3600)
        case "too large":
            send(PaintFailed(message.order_id, "RESOURCE_EXHAUSTED", "out of memory; order a smaller picture"))
        case "late":
            send(StepDone(message.order_id, 1, 2))
            cancelled = CODEC.read(sys.stdin.buffer)
            assert cancelled == CancelPaint(message.order_id)
            send(Painted(message.order_id, grey_png(), 2))  # it was done before it heard
        case _:
            for step in (1, 2):
                send(StepDone(message.order_id, step, 2))
            send(Painted(message.order_id, grey_png(), 2))


def send(message: Message) -> None:
    sys.stdout.buffer.write(CODEC.encode(message))
    sys.stdout.buffer.flush()


def grey_png(side: int = 64) -> bytes:
    rows = b"".join(b"\0" + b"\x80" * side for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tEXt", b"parameters\0theirs"), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


if __name__ == "__main__":
    main()
