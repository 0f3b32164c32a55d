"""`townsfolk paint`: a picture and how to paint it again, or a sentence and nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.pictures.scripted_painter import grey_png
from townsfolk.config import PictureSettings
from townsfolk.errors import ResourceExhausted
from townsfolk.pictures import choose
from townsfolk.pictures.painter import PaintedPicture, PictureOrder


class ScriptedPainter:
    """Paints grey in two steps, or fails after the first."""

    def __init__(self) -> None:
        self.orders: list[PictureOrder] = []
        self.settings: PictureSettings | None = None
        self.error: BaseException | None = None
        self.stopped = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True

    async def paint(self, order: PictureOrder, on_step: Callable[[int, int], None]) -> PaintedPicture:
        self.orders.append(order)
        on_step(1, 2)
        if self.error is not None:
            raise self.error
        on_step(2, 2)
        return PaintedPicture(grey_png(), 64, 64, order.seed, 2)


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> ScriptedPainter:
    painter = ScriptedPainter()

    def make(settings: PictureSettings) -> ScriptedPainter:
        painter.settings = settings
        return painter

    monkeypatch.setattr(choose, "make_painter", make)
    return painter


def test_a_picture_is_written_and_said_how_to_get_again(run: Command, painter: ScriptedPainter, tmp_path: Path) -> None:
    out = tmp_path / "Leuchtturm 灯台.png"
    done = run("paint", "a lighthouse", "--style", "ink", "--seed", "7", "--width", "64", "--out", str(out))
    assert done.code == 0, done.err
    assert out.read_bytes() == grey_png()
    assert "64×64, seed 7, 2 steps" in done.out
    assert painter.orders == [PictureOrder("ink, a lighthouse", 64, 512, None, 7)]
    assert painter.stopped
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_options_count_more_than_the_config_file(run: Command, painter: ScriptedPainter, tmp_path: Path) -> None:
    config = tmp_path / "townsfolk.toml"
    config.write_text(
        '[pictures]\nmodel = "a"\ndevice = "cpu"\nheight = 128\nstyle = "oil"\nnegative_prompt = "blurry"\n'
    )
    run("paint", "a cat", "--config", str(config), "--model", "b", "--download", "--out", str(tmp_path / "x.png"))
    assert painter.settings is not None
    assert (painter.settings.model, painter.settings.device, painter.settings.download) == ("b", "cpu", True)
    (order,) = painter.orders
    assert (order.prompt, order.height, order.negative_prompt) == ("oil, a cat", 128, "blurry")


def test_json_is_one_object(run: Command, painter: ScriptedPainter, tmp_path: Path) -> None:
    done = run("paint", "a cat", "--json", "--out", str(tmp_path / "x.png"))
    facts = json.loads(done.out)
    assert (facts["width"], facts["steps"], facts["bytes"]) == (64, 2, len(grey_png()))
    assert facts["seed"] == painter.orders[0].seed


def test_a_file_that_is_there_is_kept_without_force(run: Command, painter: ScriptedPainter, tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    out.write_bytes(b"mine")
    refused = run("paint", "a cat", "--out", str(out))
    assert (refused.code, painter.orders) == (1, [])
    assert "--force" in refused.err
    assert out.read_bytes() == b"mine"
    assert run("paint", "a cat", "--out", str(out), "--force").code == 0
    assert out.read_bytes() == grey_png()


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [(ResourceExhausted("out of memory; order a smaller picture"), 1, "smaller"), (KeyboardInterrupt(), 130, "")],
)
def test_what_fails_half_way_leaves_nothing(
    run: Command, painter: ScriptedPainter, tmp_path: Path, error: BaseException, code: int, said: str
) -> None:
    painter.error = error
    failed = run("paint", "a cat", "--out", str(tmp_path / "x.png"))
    assert failed.code == code
    assert said in failed.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["", "--out", "{}/x.png"], "prompt is empty"),
        (["a cat", "--width", "100", "--out", "{}/x.png"], "multiple of 8"),
        (["a cat", "--out", "{}/nowhere/x.png"], "there is no folder"),
    ],
)
def test_bad_arguments_get_a_sentence(
    run: Command, painter: ScriptedPainter, tmp_path: Path, arguments: list[str], said: str
) -> None:
    refused = run("paint", *(argument.replace("{}", str(tmp_path)) for argument in arguments))
    assert (refused.code, painter.orders) == (1, [])
    assert said in refused.err


def test_nothing_to_paint_with_says_what_to_do(run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(choose, "make_painter", lambda settings: None)
    refused = run("paint", "a cat", "--out", str(tmp_path / "x.png"))
    assert refused.code == 1
    assert "townsfolk[pictures]" in refused.err
