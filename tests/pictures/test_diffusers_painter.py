"""The picture process as its daemon sees it: started for an order, cancelled, killed, replaced, never orphaned."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from townsfolk.config import PictureSettings
from townsfolk.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    ResourceExhausted,
    TownsfolkError,
    Unavailable,
)
from townsfolk.pictures.diffusers_painter import DiffusersPainter
from townsfolk.pictures.painter import PaintedPicture, PictureOrder
from townsfolk.pictures.png import png_size

SCRIPTED = (sys.executable, str(Path(__file__).with_name("scripted_painter.py")))
PATIENCE_S = 120.0


def order(prompt: str = "a lighthouse, storm", **changes: Any) -> PictureOrder:
    return PictureOrder(**{"prompt": prompt, "width": 64, "height": 64, "steps": 3, "seed": 7, **changes})


class Steps(list[tuple[int, int]]):
    """What ``on_step`` was told; ``first`` is set at the first."""

    def __init__(self) -> None:
        self.first = asyncio.Event()

    def __call__(self, step: int, steps: int) -> None:
        self.append((step, steps))
        self.first.set()


async def paint(painter: DiffusersPainter, wanted: PictureOrder) -> PaintedPicture:
    async with asyncio.timeout(PATIENCE_S):
        return await painter.paint(wanted, lambda step, steps: None)


async def cancel_at_first_step(painter: DiffusersPainter, wanted: PictureOrder) -> Steps:
    steps = Steps()
    painting = asyncio.create_task(painter.paint(wanted, steps))
    async with asyncio.timeout(PATIENCE_S):
        await steps.first.wait()
        painting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await painting
    return steps


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                await asyncio.sleep(0.02)


def pixels(picture: PaintedPicture) -> bytes:
    from PIL import Image

    return Image.open(io.BytesIO(picture.png)).tobytes()


# ── with the real pipeline ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def real(sdxl_folder: Path) -> AsyncIterator[DiffusersPainter]:
    painter = DiffusersPainter(PictureSettings(model=str(sdxl_folder), device="cpu", threads=1, unload_after_s=0))
    await painter.start()
    yield painter
    await painter.stop()


async def test_sdxl_paints_cancels_between_steps_and_comes_back_after_it_was_killed(real: DiffusersPainter) -> None:
    """One test for what shares a process: importing PyTorch and diffusers takes most of its time."""
    assert real.pid is None  # nothing is loaded before there is an order
    steps = Steps()
    picture = await real.paint(order(), steps)
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert (picture.width, picture.height, picture.seed, picture.steps) == (64, 64, 7, 3)
    assert png_size(picture.png) == (64, 64)
    assert real.loaded is not None
    assert (real.loaded.device, real.loaded.dtype) == ("cpu", "float32")

    again, other = await paint(real, order()), await paint(real, order(seed=8))
    assert again.png == picture.png
    assert pixels(other) != pixels(picture)
    assert pixels(await paint(real, order(negative_prompt="blurry"))) != pixels(picture)

    wide = await paint(real, order(width=96, height=64, steps=1))
    assert (wide.width, wide.height) == (96, 64)

    process = real.pid
    cancelled = await cancel_at_first_step(real, order(steps=100))
    assert len(cancelled) < 100
    assert (await paint(real, order())).png == picture.png
    assert real.pid == process  # cancelling costs no loading

    assert process is not None
    steps = Steps()
    painting = asyncio.create_task(real.paint(order(steps=100), steps))
    await steps.first.wait()
    os.kill(process, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    with pytest.raises(Unavailable, match="order the picture again"):
        await painting
    assert (await paint(real, order())).png == picture.png
    assert real.pid != process


async def test_a_missing_model_is_said_at_the_start(tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="diffusers is missing: pip install 'townsfolk[pictures]'")
    painter = DiffusersPainter(PictureSettings(model=str(tmp_path)))
    with pytest.raises(FailedPrecondition, match=r"no model_index\.json"):
        await painter.start()
    with pytest.raises(FailedPrecondition, match=r"no model_index\.json"):
        await painter.paint(order(), lambda step, steps: None)


async def test_missing_packages_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FailedPrecondition, match=r"pip install 'townsfolk\[pictures\]'"):
        await DiffusersPainter(PictureSettings(model=str(tmp_path))).start()


# ── with a process by script ─────────────────────────────────────────────────────────────────────────────────


class ScriptedPainter(DiffusersPainter):
    """Whose model is by script as well."""

    def __init__(self, model: str = "scripted", **settings: Any) -> None:
        super().__init__(PictureSettings(model=model, **settings), SCRIPTED)

    async def start(self) -> None:
        pass


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedPainter]:
    painter = ScriptedPainter()
    yield painter
    await painter.stop()


async def test_a_picture_that_was_done_before_it_was_cancelled_is_not_taken_for_the_next(
    scripted: ScriptedPainter,
) -> None:
    await cancel_at_first_step(scripted, order("late"))
    process = scripted.pid
    steps = Steps()
    picture = await scripted.paint(order(seed=9), steps)
    assert (picture.seed, steps) == (9, [(1, 2), (2, 2)])
    assert scripted.pid == process


@pytest.mark.parametrize(
    ("prompt", "error"), [("die", Unavailable), ("garbage", Unavailable), ("too large", ResourceExhausted)]
)
async def test_an_order_that_fails_leaves_the_next_alone(
    scripted: ScriptedPainter, prompt: str, error: type[TownsfolkError]
) -> None:
    with pytest.raises(error):
        await paint(scripted, order(prompt))
    assert (await paint(scripted, order())).png


async def test_a_process_that_hangs_is_killed_at_the_deadline_and_replaced() -> None:
    painter = ScriptedPainter(timeout_s=0.2)
    with pytest.raises(DeadlineExceeded):
        await paint(painter, order("hang"))
    assert painter.pid is None
    await painter.stop()


async def test_a_process_that_died_while_nobody_painted_is_replaced(scripted: ScriptedPainter) -> None:
    await paint(scripted, order())
    process = scripted.pid
    assert process is not None
    os.kill(process, signal.SIGTERM)
    await until_gone(process)
    assert (await paint(scripted, order())).png
    assert scripted.pid != process


async def test_a_model_that_was_not_wanted_for_a_while_is_unloaded() -> None:
    painter = ScriptedPainter(unload_after_s=0.01)
    await paint(painter, order())
    async with asyncio.timeout(PATIENCE_S):
        while painter.pid is not None:
            await asyncio.sleep(0.01)
    assert (await paint(painter, order())).png
    await painter.stop()


async def test_what_kept_the_model_from_loading_is_said_and_no_process_stays() -> None:
    painter = ScriptedPainter("broken")
    with pytest.raises(FailedPrecondition, match="the model is broken"):
        await paint(painter, order())
    assert painter.pid is None


async def test_a_model_that_never_loads_is_given_up() -> None:
    painter = ScriptedPainter("slow", start_timeout_s=0.2)
    with pytest.raises(Unavailable, match="was not loaded within"):
        await paint(painter, order())
    assert painter.pid is None


async def test_cancelling_while_the_model_loads_ends_the_process() -> None:
    painter = ScriptedPainter("slow")
    painting = asyncio.create_task(painter.paint(order(), lambda step, steps: None))
    async with asyncio.timeout(PATIENCE_S):
        while painter.pid is None:
            await asyncio.sleep(0.01)
        process = painter.pid
        painting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await painting
        await until_gone(process)
    assert painter.pid is None


async def test_a_listener_that_fails_gives_its_order_up_and_nobody_elses(scripted: ScriptedPainter) -> None:
    def fail(step: int, steps: int) -> None:
        raise InternalError("a bug in a listener")

    with pytest.raises(InternalError, match="a bug in a listener"):
        await scripted.paint(order(), fail)
    assert (await paint(scripted, order())).png


async def test_stopping_ends_the_process_even_while_it_paints() -> None:
    painter = ScriptedPainter()
    steps = Steps()
    painting = asyncio.create_task(painter.paint(order("late"), steps))
    await steps.first.wait()
    process = painter.pid
    assert process is not None
    await painter.stop()
    with pytest.raises(Unavailable):
        await painting
    await until_gone(process)
    await painter.stop()
