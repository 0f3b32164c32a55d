"""AUTOMATIC1111 paints: its API is called as its own pages list it, and its other users are left alone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.pictures.http_server import Request, Response, http_server, json_response
from tests.pictures.scripted_painter import grey_png
from townsfolk.config import PictureSettings
from townsfolk.errors import FailedPrecondition, ResourceExhausted, TownsfolkError, Unavailable
from townsfolk.pictures.automatic1111 import Automatic1111Painter
from townsfolk.pictures.painter import PaintedPicture, PictureOrder

ORDER = PictureOrder("a lighthouse", 512, 768, None, 7, negative_prompt="blurry")
TURBO = "sd_xl_turbo_1.0_fp16.safetensors [e869ac7d69]"


class RecordedAutomatic1111:
    """The server's side of ``/sdapi/v1``. ``hold``, cleared: stay at a step, which counts up with every question."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.error: tuple[int, dict[str, Any]] | None = None
        self.picture = grey_png()
        self.working_on: str | None = None
        self.knows_ids = True
        self.somebody_else_paints = False
        self.step = 0

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        async with http_server(self._answer) as url:
            yield url

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    async def _answer(self, request: Request) -> Response:
        self.requests.append(request)
        match (request.method, request.path):
            case ("GET", "/sdapi/v1/options"):
                return json_response({"sd_model_checkpoint": TURBO, "samples_format": "jpg"})
            case ("GET", "/sdapi/v1/sd-models"):
                names = [("dreamy_v1.safetensors [0123456789]", "dreamy_v1"), (TURBO, "sd_xl_turbo_1.0_fp16")]
                return json_response([{"title": title, "model_name": name, "hash": None} for title, name in names])
            case ("GET", "/sdapi/v1/progress"):
                self.step += 1
                state = {"job": "scripts_txt2img", "sampling_step": self.step, "sampling_steps": 4, "skipped": False}
                return json_response({"progress": 0.3, "eta_relative": 1.0, "state": state, "current_task": None})
            case ("POST", "/internal/progress") if self.knows_ids:
                ours = request.json["id_task"] == self.working_on
                active = ours and not self.somebody_else_paints
                return json_response({"active": active, "queued": ours and not active, "completed": False})
            case ("POST", "/sdapi/v1/interrupt"):
                self.hold.set()
                return json_response({})
            case ("POST", "/sdapi/v1/txt2img"):
                self.working_on = request.json["force_task_id"]
                await self.hold.wait()
                if self.error is not None:
                    return json_response(self.error[1], self.error[0])
                images = [base64.b64encode(self.picture).decode()]
                return json_response({"images": images, "parameters": {}, "info": '{"seed": 7}'})
        return json_response({"detail": "Not Found"}, 404)


@pytest.fixture
def webui() -> RecordedAutomatic1111:
    return RecordedAutomatic1111()


@pytest.fixture
async def address(webui: RecordedAutomatic1111) -> AsyncIterator[str]:
    async with webui.serve() as url:
        yield url


async def paint(address: str, steps: Any = None, **settings: Any) -> PaintedPicture:
    painter = Automatic1111Painter(PictureSettings(address=address, **settings), poll_s=0.01)
    try:
        return await painter.paint(ORDER, steps or (lambda step, steps: None))
    finally:
        await painter.stop()


async def test_a_picture_is_what_was_ordered_and_has_our_texts(webui: RecordedAutomatic1111, address: str) -> None:
    picture = await paint(address)
    (request,) = webui.asked("/sdapi/v1/txt2img")
    asked = request.json
    assert (asked["prompt"], asked["negative_prompt"]) == ("a lighthouse", "blurry")
    assert (asked["width"], asked["height"], asked["seed"]) == (512, 768, 7)
    # A turbo checkpoint is loaded there: few steps, no guidance.
    assert (asked["steps"], asked["cfg_scale"]) == (4, 1.0)
    assert asked["override_settings"] == {"samples_format": "png"}
    assert (picture.width, picture.height, picture.seed, picture.steps) == (64, 64, 7, 4)
    assert b"a lighthouse" in picture.png
    assert b"theirs" not in picture.png


async def test_a_checkpoint_that_the_settings_name_is_used_for_this_picture_only(
    webui: RecordedAutomatic1111, address: str
) -> None:
    await paint(address, model="dreamy_v1")
    asked = webui.asked("/sdapi/v1/txt2img")[0].json
    assert asked["override_settings"]["sd_model_checkpoint"] == "dreamy_v1"
    assert asked["override_settings_restore_afterwards"] is True
    assert (asked["steps"], asked["cfg_scale"]) == (30, 5.0)


@pytest.mark.parametrize("knows_ids", [True, False])
async def test_progress_goes_on_while_it_paints(webui: RecordedAutomatic1111, address: str, knows_ids: bool) -> None:
    webui.hold.clear()
    webui.knows_ids = knows_ids
    steps: list[tuple[int, int]] = []

    def on_step(step: int, of: int) -> None:
        steps.append((step, of))
        if step == 3:
            webui.hold.set()

    await paint(address, on_step)
    assert steps[:3] == [(1, 4), (2, 4), (3, 4)]


async def test_progress_of_somebody_elses_picture_is_not_told(webui: RecordedAutomatic1111, address: str) -> None:
    webui.hold.clear()
    webui.somebody_else_paints = True
    steps: list[int] = []
    painting = asyncio.create_task(paint(address, lambda step, of: steps.append(step)))
    while len(webui.asked("/internal/progress")) < 5:
        await asyncio.sleep(0.01)
    webui.hold.set()
    await painting
    assert steps == []


@pytest.mark.parametrize(("somebody_else_paints", "interrupts"), [(False, 1), (True, 0)])
async def test_cancelling_interrupts_ours_and_nobody_elses(
    webui: RecordedAutomatic1111, address: str, somebody_else_paints: bool, interrupts: int
) -> None:
    webui.hold.clear()
    painting = asyncio.create_task(paint(address))
    while not webui.working_on:
        await asyncio.sleep(0.01)
    webui.somebody_else_paints = somebody_else_paints
    painting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await painting
    assert len(webui.asked("/sdapi/v1/interrupt")) == interrupts


@pytest.mark.parametrize(
    ("status", "answer", "error", "why"),
    [
        (
            500,
            {"error": "OutOfMemoryError", "detail": "", "body": "", "errors": "CUDA out of memory. Tried 20 GiB"},
            ResourceExhausted,
            "smaller picture",
        ),
        (404, {"detail": "Sampler not found"}, FailedPrecondition, "Sampler not found"),
        (401, {"detail": "Incorrect username or password"}, FailedPrecondition, "http://user:password@host:port"),
        (500, {"error": "RuntimeError", "errors": "shapes"}, FailedPrecondition, "shapes"),
        (200, {"images": []}, FailedPrecondition, "without a picture"),
        (200, {"images": ["%%%"]}, FailedPrecondition, "no Base64"),
    ],
)
async def test_what_goes_wrong_there_is_said_here(
    webui: RecordedAutomatic1111,
    address: str,
    status: int,
    answer: dict[str, Any],
    error: type[TownsfolkError],
    why: str,
) -> None:
    webui.error = (status, answer)
    with pytest.raises(error, match=why):
        await paint(address)


async def test_a_jpeg_is_refused(webui: RecordedAutomatic1111, address: str) -> None:
    webui.picture = b"\xff\xd8 a JPEG"
    with pytest.raises(FailedPrecondition, match="no PNG"):
        await paint(address)


async def test_a_missing_checkpoint_names_those_that_are_there(address: str) -> None:
    with pytest.raises(FailedPrecondition, match="dreamy_v1, sd_xl_turbo"):
        await paint(address, model="mine")


async def test_an_api_that_is_switched_off_is_said_at_the_start() -> None:
    async def answer(request: Request) -> Response:
        return json_response({"detail": "Not Found"}, 404)

    async with http_server(answer) as url:
        painter = Automatic1111Painter(PictureSettings(address=url))
        with pytest.raises(FailedPrecondition, match="--api"):
            await painter.start()
        await painter.stop()


async def test_a_server_that_is_not_there_is_said_at_the_start() -> None:
    painter = Automatic1111Painter(PictureSettings(address="http://127.0.0.1:9"))
    with pytest.raises(Unavailable, match="AUTOMATIC1111 at"):
        await painter.start()
    await painter.stop()
