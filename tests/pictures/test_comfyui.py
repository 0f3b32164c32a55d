"""ComfyUI paints: its protocol is spoken as recorded, its failures become sentences, its other users are left alone."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("websockets", reason="websockets is missing: pip install 'townsfolk[comfyui]'")

from tests.pictures.recorded_comfyui import OUT_OF_MEMORY, PROMPT_ID, RecordedComfyUi
from townsfolk.config import PictureSettings
from townsfolk.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, TownsfolkError, Unavailable
from townsfolk.pictures.comfyui import ComfyUiPainter
from townsfolk.pictures.painter import PaintedPicture, PictureOrder
from townsfolk.pictures.png import MAX_PNG_BYTES

ORDER = PictureOrder("a lighthouse, {seed}", 512, 768, None, (1 << 64) - 1, negative_prompt="blurry")


@pytest.fixture
def comfyui() -> RecordedComfyUi:
    return RecordedComfyUi()


@pytest.fixture
async def address(comfyui: RecordedComfyUi) -> AsyncIterator[str]:
    async with comfyui.serve() as url:
        yield url


async def paint(address: str, order: PictureOrder = ORDER, steps: Any = None, **settings: Any) -> PaintedPicture:
    painter = ComfyUiPainter(PictureSettings(address=address, **settings))
    try:
        return await painter.paint(order, steps or (lambda step, steps: None))
    finally:
        await painter.stop()


async def test_a_picture_comes_with_its_progress_and_our_texts(comfyui: RecordedComfyUi, address: str) -> None:
    steps: list[tuple[int, int]] = []
    picture = await paint(address, steps=lambda step, of: steps.append((step, of)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (picture.width, picture.height, picture.seed, picture.steps) == (64, 64, ORDER.seed, 4)
    assert b"a lighthouse, {seed}" in picture.png
    assert b"theirs" not in picture.png
    (view,) = comfyui.asked("GET", "/view")
    assert view.query == {"filename": "ComfyUI_temp_abcde_00001_.png", "type": "temp"}


async def test_the_workflow_says_what_was_ordered(comfyui: RecordedComfyUi, address: str) -> None:
    await paint(address)
    workflow = comfyui.workflow
    assert workflow["positive"]["inputs"]["text"] == "a lighthouse, {seed}"
    assert workflow["negative"]["inputs"]["text"] == "blurry"
    assert workflow["canvas"]["inputs"] == {"width": 512, "height": 768, "batch_size": 1}
    # The first SDXL checkpoint in safetensors, a turbo one: few steps, no guidance.
    assert workflow["checkpoint"]["inputs"]["ckpt_name"] == "sd_xl_turbo_1.0_fp16.safetensors"
    sampler = workflow["sampler"]["inputs"]
    assert (sampler["seed"], sampler["steps"], sampler["cfg"]) == (ORDER.seed, 4, 1.0)
    for node in workflow.values():
        for value in node["inputs"].values():
            assert not isinstance(value, list) or value[0] in workflow


async def test_progress_is_heard_from_the_very_beginning(comfyui: RecordedComfyUi, address: str) -> None:
    await paint(address)
    paths = [request.path for request in comfyui.requests]
    assert paths.index("/ws") < paths.index("/prompt")
    (prompt,), (socket,) = comfyui.asked("POST", "/prompt"), comfyui.asked("GET", "/ws")
    assert prompt.json["client_id"] == socket.query["clientId"]


async def test_a_workflow_of_ones_own_is_filled_in(comfyui: RecordedComfyUi, address: str, tmp_path: Path) -> None:
    workflow = {"7": {"class_type": "Mine", "inputs": {"text": "oil, {prompt}", "size": ["{width}"], "seed": "{seed}"}}}
    path = tmp_path / "eigener Ablauf.json"
    path.write_text(json.dumps(workflow))
    await paint(address, workflow=path)
    inputs = comfyui.workflow["7"]["inputs"]
    assert inputs == {"text": "oil, a lighthouse, {seed}", "size": [512], "seed": ORDER.seed}
    assert not comfyui.asked("GET", "/models/checkpoints")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "cannot be read"),
        ('{"nodes": []}', "API format"),
        ('{"7": {"class_type": "Mine", "inputs": {}}}', "no {prompt}"),
    ],
)
async def test_a_bad_workflow_is_said_at_the_start(address: str, tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "workflow.json"
    path.write_text(content)
    painter = ComfyUiPainter(PictureSettings(address=address, workflow=path))
    with pytest.raises(FailedPrecondition, match=why):
        await painter.start()
    await painter.stop()


async def test_kept_pictures_come_before_previews(comfyui: RecordedComfyUi, address: str) -> None:
    comfyui.outputs["9"] = {"images": [{"filename": "kept.png", "subfolder": "town", "type": "output"}]}
    await paint(address)
    assert comfyui.asked("GET", "/view")[0].query == {"filename": "kept.png", "subfolder": "town", "type": "output"}


@pytest.mark.parametrize(("running", "interrupts"), [(True, 1), (False, 0)])
async def test_cancelling_interrupts_ours_and_nobody_elses(
    comfyui: RecordedComfyUi, address: str, running: bool, interrupts: int
) -> None:
    comfyui.hold.clear()
    first = asyncio.Event()
    painting = asyncio.create_task(paint(address, steps=lambda step, steps: first.set()))
    await first.wait()
    if not running:
        comfyui.running[:] = ["somebody-elses"]
    painting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await painting
    assert [request.json for request in comfyui.asked("POST", "/queue")] == [{"delete": [PROMPT_ID]}]
    assert [request.json for request in comfyui.asked("POST", "/interrupt")] == [{"prompt_id": PROMPT_ID}] * interrupts


@pytest.mark.parametrize(
    ("failure", "error", "why"),
    [
        (
            ("execution_error", {"exception_type": "torch.OutOfMemoryError", "exception_message": OUT_OF_MEMORY}),
            ResourceExhausted,
            "smaller picture",
        ),
        (
            ("execution_error", {"exception_type": "RuntimeError", "exception_message": "mat1 and mat2\nshapes"}),
            FailedPrecondition,
            "could not paint: RuntimeError: mat1 and mat2 shapes",
        ),
        (("execution_interrupted", {}), Unavailable, "interrupted"),
    ],
)
async def test_what_goes_wrong_there_is_said_here(
    comfyui: RecordedComfyUi,
    address: str,
    failure: tuple[str, dict[str, Any]],
    error: type[TownsfolkError],
    why: str,
) -> None:
    comfyui.failure = failure
    with pytest.raises(error, match=why):
        await paint(address)


async def test_a_refused_workflow_says_why(comfyui: RecordedComfyUi, address: str) -> None:
    comfyui.prompt_error = {
        "error": {"type": "invalid_prompt", "message": "Cannot execute", "details": "Node ID '#7'", "extra_info": {}},
        "node_errors": {},
    }
    with pytest.raises(FailedPrecondition, match="Cannot execute: Node ID '#7'"):
        await paint(address)


async def test_a_connection_that_breaks_while_it_paints_is_said(comfyui: RecordedComfyUi, address: str) -> None:
    comfyui.closes_while_painting = True
    with pytest.raises(Unavailable, match="ComfyUI"):
        await paint(address)


async def test_a_missing_checkpoint_names_those_that_are_there(address: str) -> None:
    with pytest.raises(FailedPrecondition, match=r"dreamy_v1\.safetensors"):
        await paint(address, model="mine.safetensors")


async def test_only_safetensors_are_chosen_unasked(comfyui: RecordedComfyUi, address: str) -> None:
    comfyui.checkpoints = ["old.ckpt"]
    with pytest.raises(FailedPrecondition, match="safetensors"):
        await paint(address)
    await paint(address, model="old.ckpt")  # whoever names one means it


@pytest.mark.parametrize(
    ("picture", "why"), [(b"\xff\xd8 a JPEG", "no PNG"), (b"\0" * (MAX_PNG_BYTES + 1), "more than 16,777,216 bytes")]
)
async def test_what_is_no_picture_or_too_much_is_refused(
    comfyui: RecordedComfyUi, address: str, picture: bytes, why: str
) -> None:
    comfyui.picture = picture
    with pytest.raises(FailedPrecondition, match=why):
        await paint(address)


async def test_a_workflow_without_pictures_is_said(comfyui: RecordedComfyUi, address: str) -> None:
    comfyui.outputs = {}
    with pytest.raises(FailedPrecondition, match="SaveImage"):
        await paint(address)


async def test_a_server_that_is_not_there_is_said_at_the_start() -> None:
    painter = ComfyUiPainter(PictureSettings(address="http://127.0.0.1:9"))
    with pytest.raises(Unavailable, match=r"ComfyUI at http://127\.0\.0\.1:9 does not answer"):
        await painter.start()
    await painter.stop()


async def test_a_password_goes_with_every_request_and_into_no_message(comfyui: RecordedComfyUi, address: str) -> None:
    comfyui.prompt_error = {"error": "no prompt"}
    with pytest.raises(FailedPrecondition) as refused:
        await paint(address.replace("http://", "http://ada:s3cret@"))
    assert "s3cret" not in refused.value.message
    expected = "Basic " + base64.b64encode(b"ada:s3cret").decode()
    assert {request.headers["authorization"] for request in comfyui.requests} == {expected}


@pytest.mark.parametrize("address", ["127.0.0.1:8188", "ftp://127.0.0.1", "http://", "http://[::1"])
def test_an_address_that_is_no_url_is_refused(address: str) -> None:
    with pytest.raises(InvalidArgument, match=r"http://127\.0\.0\.1:8188"):
        ComfyUiPainter(PictureSettings(address=address))
