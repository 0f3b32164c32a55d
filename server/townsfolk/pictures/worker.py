"""The picture process: loads the model, paints orders in turn, tells of every step.

Run by ``diffusers_painter.py`` as ``python -m townsfolk.pictures.worker SETTINGS_JSON``. It yields to everybody else
for the CPU, so that text never waits. When the daemon dies, standard input ends and so does this process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from townsfolk.child_process import leave_signals_to_the_daemon, take_standard_output
from townsfolk.config import PictureSettings
from townsfolk.errors import FailedPrecondition, TownsfolkError
from townsfolk.frames import MalformedMessage
from townsfolk.pictures.messages import (
    CODEC,
    CancelPaint,
    LoadFailed,
    Message,
    Paint,
    Painted,
    PaintFailed,
    StepDone,
)

if TYPE_CHECKING:
    from townsfolk.pictures.sdxl import SdxlModel

log = logging.getLogger("townsfolk.pictures")

NICENESS = 10
OOM_SCORE_ADJUSTMENT = "500"  # of 1000: as if it held half of the machine's memory more
EXIT_OK, EXIT_FAILED = 0, 1


class _Inbox:
    """Orders to paint, and those given up; filled by the thread that reads standard input.

    Order ids only rise and one order is out at a time, so giving one up gives up all before it too.
    """

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[Paint] = queue.SimpleQueue()
        self._last_given_up = 0

    def put(self, message: Message) -> None:
        """Take a message of the daemon in."""
        match message:
            case Paint():
                self._orders.put(message)
            case CancelPaint(order_id):
                self._last_given_up = order_id

    def next_order(self) -> Paint:
        """Wait for an order."""
        return self._orders.get()

    def given_up(self, order_id: int) -> bool:
        """Whether nobody waits for the order any more."""
        return order_id <= self._last_given_up


def main() -> None:
    """Entry point of the picture process."""
    settings = PictureSettings.model_validate_json(sys.argv[1])
    logging.basicConfig(level=os.environ.get("TOWNSFOLK_LOG", "INFO"), format="%(asctime)s %(name)s %(message)s")
    leave_signals_to_the_daemon()
    outgoing = take_standard_output()
    inbox = _Inbox()
    threading.Thread(target=_read_messages, args=(sys.stdin.buffer, inbox), daemon=True).start()
    _stand_back()
    try:
        model = _load(settings)
    except TownsfolkError as error:
        _write(outgoing, LoadFailed(error.status, error.message))
        sys.exit(EXIT_FAILED)
    except Exception as error:
        log.exception("the picture model could not be loaded")
        _write(outgoing, LoadFailed("INTERNAL", f"the picture model could not be loaded: {_named(error)}"))
        sys.exit(EXIT_FAILED)
    _write(outgoing, model.describe())
    while True:
        _paint(model, inbox.next_order(), inbox, outgoing)


def _stand_back() -> None:
    """Let everybody else have the CPU first, and be the first to go when memory runs out."""
    if sys.platform == "win32":  # the daemon has set the priority
        return
    os.nice(NICENESS)
    with contextlib.suppress(OSError):  # Linux alone has it
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE_ADJUSTMENT)


def _load(settings: PictureSettings) -> SdxlModel:
    if not settings.download:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    try:
        import torch
        from diffusers.utils.logging import disable_progress_bar as disable_diffusers_bars
        from transformers.utils.logging import disable_progress_bar as disable_transformers_bars

        from townsfolk.pictures.sdxl import SdxlModel
    except ImportError as error:
        raise FailedPrecondition(
            f"painting needs the package {error.name}; install it with: pip install 'townsfolk[pictures]'"
        ) from error
    disable_diffusers_bars()
    disable_transformers_bars()  # type: ignore[no-untyped-call]
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return SdxlModel(settings)


def _paint(model: SdxlModel, paint: Paint, inbox: _Inbox, outgoing: BinaryIO) -> None:
    from townsfolk.pictures.sdxl import Stopped

    order_id, order = paint.order_id, paint.order

    def stopped() -> bool:
        return inbox.given_up(order_id)

    def on_step(step: int, steps: int) -> None:
        _write(outgoing, StepDone(order_id, step, steps))

    if stopped():
        return
    try:
        png = model.paint(order, on_step, stopped)
    except Stopped:
        return
    except TownsfolkError as error:
        _write(outgoing, PaintFailed(order_id, error.status, error.message))
    except Exception as error:
        log.exception("a picture could not be painted")
        _write(outgoing, PaintFailed(order_id, "INTERNAL", f"the picture could not be painted: {_named(error)}"))
    else:
        _write(outgoing, Painted(order_id, png, model.steps_for(order)))


def _read_messages(incoming: BinaryIO, inbox: _Inbox) -> None:
    try:
        while (message := CODEC.read(incoming)) is not None:
            inbox.put(message)
    except (OSError, MalformedMessage) as error:
        log.error("the daemon's messages cannot be read: %s", error)
    os._exit(EXIT_OK)  # the daemon is gone: nothing here is worth finishing


def _write(outgoing: BinaryIO, message: Message) -> None:
    try:
        outgoing.write(CODEC.encode(message))
        outgoing.flush()
    except OSError:
        os._exit(EXIT_OK)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
