"""Settings, and what runs on this machine, decide what paints."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.pictures.http_server import Request, Response, http_server, json_response
from townsfolk.config import PictureSettings
from townsfolk.errors import InvalidArgument
from townsfolk.pictures import automatic1111, choose, comfyui
from townsfolk.pictures.automatic1111 import Automatic1111Painter
from townsfolk.pictures.choose import make_painter
from townsfolk.pictures.comfyui import ComfyUiPainter
from townsfolk.pictures.diffusers_painter import DiffusersPainter
from townsfolk.pictures.painter import Painter

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def nobody_on_the_usual_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comfyui, "DEFAULT_ADDRESS", NOBODY)
    monkeypatch.setattr(automatic1111, "DEFAULT_ADDRESS", NOBODY)


def with_diffusers(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(choose.importlib.util, "find_spec", lambda name: object() if there else None)


async def chosen(**settings: Any) -> Painter | None:
    painter = await asyncio.to_thread(make_painter, PictureSettings(**settings))
    if painter is not None:
        await painter.stop()
    return painter


@pytest.mark.parametrize(
    ("kind", "painter"),
    [
        ("none", type(None)),
        ("diffusers", DiffusersPainter),
        ("comfyui", ComfyUiPainter),
        ("automatic1111", Automatic1111Painter),
    ],
)
async def test_a_kind_that_is_set_is_taken(kind: str, painter: type) -> None:
    assert type(await chosen(kind=kind)) is painter


async def test_without_anything_there_is_nothing() -> None:
    assert await chosen() is None


async def test_a_model_is_painted_with_where_diffusers_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_diffusers(monkeypatch, True)
    assert isinstance(await chosen(model=str(tmp_path)), DiffusersPainter)
    with_diffusers(monkeypatch, False)
    assert await chosen(model=str(tmp_path)) is None


@pytest.mark.parametrize(
    ("path", "answer", "painter"),
    [
        ("/system_stats", {"system": {}}, ComfyUiPainter),
        ("/sdapi/v1/sd-models", [], Automatic1111Painter),
        ("/something/else", {}, type(None)),
        ("/system_stats", "an error page", type(None)),
    ],
)
async def test_a_server_is_known_by_what_it_answers(
    monkeypatch: pytest.MonkeyPatch, path: str, answer: Any, painter: type
) -> None:
    async def answers(request: Request) -> Response:
        return json_response(answer, 200 if request.path == path else 404)

    with_diffusers(monkeypatch, False)
    async with http_server(answers) as url:
        assert type(await chosen(address=url)) is painter
        monkeypatch.setattr(comfyui, "DEFAULT_ADDRESS", url)
        assert type(await chosen()) is painter


async def test_an_address_that_is_set_is_not_passed_over_for_a_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_diffusers(monkeypatch, True)
    assert await chosen(address=NOBODY, model=str(tmp_path)) is None


async def test_a_bad_address_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        await chosen(kind="comfyui", address="localhost")
