"""Paints with a running ComfyUI server: a workflow over HTTP, its progress over a WebSocket.

Routes and messages: https://docs.comfy.org/development/comfyui-server/comms_routes and …/comms_messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from townsfolk.config import PictureSettings
from townsfolk.errors import FailedPrecondition, TownsfolkError, Unavailable
from townsfolk.pictures.comfyui_workflow import TEXT_TO_IMAGE, fill_in, needs, read_workflow
from townsfolk.pictures.painter import OnStep, PaintedPicture, PictureOrder
from townsfolk.pictures.picture_server import PictureServer, error_said, text_of
from townsfolk.pictures.png import MAX_PNG_BYTES
from townsfolk.pictures.presets import preset_for
from townsfolk.pictures.queue import PictureQueue

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

DEFAULT_ADDRESS = "http://127.0.0.1:8188"
CANCEL_TIMEOUT_S = 5.0
PING_TIMEOUT_S = 120.0  # it may be deaf while it loads a model
CLOSE_TIMEOUT_S = 1.0  # nor is its goodbye worth waiting for


class ComfyUiPainter:
    """A ``Painter`` that has ComfyUI paint. Raises ``InvalidArgument`` for a bad address."""

    def __init__(self, settings: PictureSettings) -> None:
        self._settings = settings
        self._server = PictureServer("ComfyUI", settings.address or DEFAULT_ADDRESS)
        self._queue = PictureQueue(settings.max_waiting, settings.timeout_s)

    async def start(self) -> None:
        _require_websockets()
        workflow = self._workflow()
        await self._server.get_json("/system_stats")
        if needs(workflow, "model"):
            await self._checkpoint()

    async def stop(self) -> None:
        await self._server.close()

    async def paint(self, order: PictureOrder, on_step: OnStep) -> PaintedPicture:
        _require_websockets()
        async with self._queue.turn():
            workflow = self._workflow()
            model = await self._checkpoint() if needs(workflow, "model") else self._settings.model
            preset = preset_for(model)
            steps = order.steps or self._settings.steps or preset.steps
            # ComfyUI counts guidance from 1, where diffusers says 0 for none at all.
            guidance = max(1.0, preset.guidance if self._settings.guidance is None else self._settings.guidance)
            values: dict[str, str | int | float] = {
                "prompt": order.prompt,
                "negative_prompt": order.negative_prompt,
                "model": model,
                "width": order.width,
                "height": order.height,
                "steps": steps,
                "guidance": guidance,
                "seed": order.seed,
            }
            png = await self._run(fill_in(workflow, values), on_step)
            png, width, height = self._server.described(png, order, model, steps)
            return PaintedPicture(png, width, height, order.seed, steps)

    def _workflow(self) -> dict[str, Any]:
        path = self._settings.workflow
        return TEXT_TO_IMAGE if path is None else read_workflow(path.expanduser())

    async def _checkpoint(self) -> str:
        """The checkpoint that the settings name, or else the first SDXL one by its name. Raises ``FailedPrecondition``.

        Only safetensors are chosen by ourselves.
        """
        answer = await self._server.get_json("/models/checkpoints")
        there = [name for name in answer if isinstance(name, str)] if isinstance(answer, list) else []
        wanted = self._settings.model
        if wanted and wanted in there:
            return wanted
        if wanted:
            has = ", ".join(there[:8]) or "none"
            raise FailedPrecondition(
                f"ComfyUI has no checkpoint {wanted!r}; set pictures.model to one that it has: {has}",
                field="pictures.model",
            )
        safe = [name for name in there if name.lower().endswith(".safetensors")]
        if not safe:
            raise FailedPrecondition(
                "ComfyUI has no checkpoint in safetensors; put an SDXL one into its models/checkpoints folder",
                field="pictures.model",
            )
        return next((name for name in safe if "xl" in name.lower()), safe[0])

    async def _run(self, workflow: dict[str, Any], on_step: OnStep) -> bytes:
        client_id = uuid.uuid4().hex
        async with self._connected(client_id) as socket:
            queued = await self._server.post_json("/prompt", {"prompt": workflow, "client_id": client_id})
            prompt_id = text_of(queued.get("prompt_id")) if isinstance(queued, dict) else ""
            if not prompt_id:
                raise error_said("ComfyUI", "it gave the work no id")
            try:
                await _follow(socket, prompt_id, on_step)
                return await self._fetch(prompt_id)
            except TownsfolkError:
                raise
            except BaseException:
                await self._cancel(prompt_id)
                raise

    @contextlib.asynccontextmanager
    async def _connected(self, client_id: str) -> AsyncIterator[ClientConnection]:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        url = f"{self._server.websocket_url}/ws?clientId={client_id}"
        try:
            async with connect(
                url, max_size=MAX_PNG_BYTES, ping_timeout=PING_TIMEOUT_S, close_timeout=CLOSE_TIMEOUT_S, proxy=None
            ) as socket:
                yield socket
        except (OSError, WebSocketException) as error:
            raise self._server.lost(error) from error

    async def _fetch(self, prompt_id: str) -> bytes:
        history = await self._server.get_json(f"/history/{prompt_id}")
        for image in _images(history, prompt_id):
            return await self._server.download("/view", **image)
        raise FailedPrecondition(
            "ComfyUI painted nothing; a workflow needs a SaveImage or PreviewImage node", field="pictures.workflow"
        )

    async def _cancel(self, prompt_id: str) -> None:
        """Take the work out of its queue, or interrupt it if it is what runs: others may use the same server."""
        with contextlib.suppress(TownsfolkError, TimeoutError):
            async with asyncio.timeout(CANCEL_TIMEOUT_S):
                await self._server.post_json("/queue", {"delete": [prompt_id]})
                queue = await self._server.get_json("/queue")
                running = queue.get("queue_running") if isinstance(queue, dict) else None
                if any(prompt_id in entry for entry in running or () if isinstance(entry, list)):
                    await self._server.post_json("/interrupt", {"prompt_id": prompt_id})


async def _follow(socket: ClientConnection, prompt_id: str, on_step: OnStep) -> None:
    """Read messages until the work is done. Binary ones are previews."""
    async for frame in socket:
        message = json.loads(frame) if isinstance(frame, str) else None
        data = message.get("data") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not isinstance(data, dict) or data.get("prompt_id", prompt_id) != prompt_id:
            continue
        match message.get("type"):
            case "progress" if isinstance(data.get("value"), int) and isinstance(data.get("max"), int):
                on_step(data["value"], data["max"])
            case "executing" if "node" in data and data["node"] is None:
                return
            case "execution_error":
                raise error_said("ComfyUI", f"{data.get('exception_type')}: {data.get('exception_message')}")
            case "execution_interrupted":
                raise Unavailable("somebody interrupted the picture in ComfyUI; order it again")
    raise Unavailable("ComfyUI closed the connection while it painted; order the picture again", retry_after_s=5.0)


def _images(history: Any, prompt_id: str) -> list[dict[str, str]]:
    """Where the pictures of a finished work are to be had; kept ones before previews."""
    entry = history.get(prompt_id) if isinstance(history, dict) else None
    outputs = entry.get("outputs") if isinstance(entry, dict) else None
    found = []
    for output in outputs.values() if isinstance(outputs, dict) else ():
        for image in output.get("images", ()) if isinstance(output, dict) else ():
            if isinstance(image, dict) and text_of(image.get("filename")):
                found.append({key: text_of(image.get(key)) for key in ("filename", "subfolder", "type")})
    return sorted(found, key=lambda image: image["type"] != "output")


def _require_websockets() -> None:
    if importlib.util.find_spec("websockets") is None:
        raise FailedPrecondition(
            "painting with ComfyUI needs the package websockets; install it with: pip install 'townsfolk[comfyui]'"
        )
