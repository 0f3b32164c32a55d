"""The picture process by itself: it stands back for everybody else, and ends when its daemon does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from townsfolk.config import PictureSettings
from townsfolk.frames import MalformedMessage
from townsfolk.pictures.messages import CODEC, CancelPaint, Loaded, Paint, Painted, StepDone
from townsfolk.pictures.painter import PictureOrder

PATIENCE_S = 120.0


@pytest.mark.skipif(sys.platform == "win32", reason="the daemon sets the priority on Windows")
def test_it_is_nicer_than_its_daemon_and_ends_with_it_in_the_middle_of_a_picture(sdxl_folder: Path) -> None:
    settings = PictureSettings(model=str(sdxl_folder), device="cpu", threads=1)
    command = [sys.executable, "-m", "townsfolk.pictures.worker", settings.model_dump_json()]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert isinstance(CODEC.read(child.stdout), Loaded)
        assert os.getpriority(os.PRIO_PROCESS, child.pid) >= min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
        child.stdin.write(CODEC.encode(Paint(1, PictureOrder("a lighthouse", 64, 64, 100, 7))))
        child.stdin.flush()
        assert CODEC.read(child.stdout) == StepDone(1, 1, 100)
        child.stdin.close()
        assert child.wait(PATIENCE_S) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.mark.parametrize(
    "message",
    [
        Paint(1, PictureOrder("ein Leuchtturm, 灯台", 512, 768, None, (1 << 64) - 1, "blurry")),
        CancelPaint(2),
        Painted(3, bytes(range(256)), 30),
    ],
)
def test_messages_come_as_they_were_sent(message: Paint | CancelPaint | Painted) -> None:
    assert CODEC.decode(CODEC.encode(message)[4:]) == message


def test_an_order_that_is_none_is_not_believed() -> None:
    order = PictureOrder("a lighthouse", 64, 64, None, 7)
    object.__setattr__(order, "width", 1 << 30)
    with pytest.raises(MalformedMessage, match="width"):
        CODEC.decode(CODEC.encode(Paint(1, order))[4:])
