"""Paints with a running AUTOMATIC1111 (stable-diffusion-webui, Forge) server started with ``--api``.

Routes as its own ``/docs`` page lists them. One call paints and answers when it is done; another tells how far it is.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import uuid
from typing import Any

from townsfolk.config import PictureSettings
from townsfolk.errors import FailedPrecondition, TownsfolkError
from townsfolk.pictures.painter import OnStep, PaintedPicture, PictureOrder
from townsfolk.pictures.picture_server import PictureServer, error_said, text_of
from townsfolk.pictures.presets import preset_for
from townsfolk.pictures.queue import PictureQueue

DEFAULT_ADDRESS = "http://127.0.0.1:7860"
POLL_S = 0.5
CANCEL_TIMEOUT_S = 5.0


class Automatic1111Painter:
    """A ``Painter`` that has AUTOMATIC1111 paint. Raises ``InvalidArgument`` for a bad address.

    Args:
        poll_s: seconds between two questions about its progress.
    """

    def __init__(self, settings: PictureSettings, poll_s: float = POLL_S) -> None:
        self._settings = settings
        self._poll_s = poll_s
        self._server = PictureServer("AUTOMATIC1111", settings.address or DEFAULT_ADDRESS)
        self._queue = PictureQueue(settings.max_waiting, settings.timeout_s)

    async def start(self) -> None:
        await self._model()

    async def stop(self) -> None:
        await self._server.close()

    async def paint(self, order: PictureOrder, on_step: OnStep) -> PaintedPicture:
        async with self._queue.turn():
            model = await self._model()
            preset = preset_for(model)
            steps = order.steps or self._settings.steps or preset.steps
            # Here 1 is no guidance at all, which diffusers calls 0.
            guidance = max(1.0, preset.guidance if self._settings.guidance is None else self._settings.guidance)
            task_id = f"task({uuid.uuid4().hex})"
            overrides = {"samples_format": "png", **({"sd_model_checkpoint": model} if self._settings.model else {})}
            request = {
                "prompt": order.prompt,
                "negative_prompt": order.negative_prompt,
                "width": order.width,
                "height": order.height,
                "steps": steps,
                "cfg_scale": guidance,
                "seed": order.seed,
                "sampler_name": "Euler a",
                "override_settings": overrides,
                "override_settings_restore_afterwards": True,
                "force_task_id": task_id,
            }
            answer = await self._run(request, task_id, on_step)
            png, width, height = self._server.described(_image(answer), order, model, steps)
            return PaintedPicture(png, width, height, order.seed, steps)

    async def _model(self) -> str:
        """The checkpoint to paint with: the settings' one, checked, or the one that is loaded there."""
        wanted = self._settings.model
        if not wanted:
            options = await self._server.get_json("/sdapi/v1/options")
            return text_of(options.get("sd_model_checkpoint")) if isinstance(options, dict) else ""
        listed = await self._server.get_json("/sdapi/v1/sd-models")
        models = [model for model in listed if isinstance(model, dict)] if isinstance(listed, list) else []
        names = {text_of(model.get(key)) for model in models for key in ("title", "model_name")}
        if wanted not in names:
            has = ", ".join([text_of(model.get("model_name")) for model in models][:8]) or "none"
            raise FailedPrecondition(
                f"AUTOMATIC1111 has no checkpoint {wanted!r}; set pictures.model to one that it has: {has}",
                field="pictures.model",
            )
        return wanted

    async def _run(self, request: dict[str, Any], task_id: str, on_step: OnStep) -> Any:
        """Paint, and ask how far it is beside that."""
        path = "/sdapi/v1/txt2img"
        painting = asyncio.create_task(self._server.post_json(path, request, self._settings.timeout_s))
        try:
            told = 0
            while not (await asyncio.wait([painting], timeout=self._poll_s))[0]:
                step, steps = await self._progress(task_id)
                if step > told:
                    on_step(step, steps)
                    told = step
            return painting.result()
        except TownsfolkError:
            raise
        except BaseException:
            await self._interrupt(task_id)
            raise
        finally:
            painting.cancel()
            await asyncio.gather(painting, return_exceptions=True)

    async def _progress(self, task_id: str) -> tuple[int, int]:
        """Steps done and in all; nothing yet while another's work runs, or when the server is too busy to say."""
        with contextlib.suppress(TownsfolkError):
            if await self._runs(task_id):
                answer = await self._server.get_json("/sdapi/v1/progress", skip_current_image="true")
                state = answer.get("state") if isinstance(answer, dict) else None
                if isinstance(state, dict):
                    step, steps = state.get("sampling_step"), state.get("sampling_steps")
                    if isinstance(step, int) and isinstance(steps, int):
                        return step, steps
        return 0, 0

    async def _interrupt(self, task_id: str) -> None:
        """Stop it after its step, unless what runs is somebody else's."""
        with contextlib.suppress(TownsfolkError, TimeoutError):
            async with asyncio.timeout(CANCEL_TIMEOUT_S):
                if await self._runs(task_id):
                    await self._server.post_json("/sdapi/v1/interrupt", {})

    async def _runs(self, task_id: str) -> bool:
        """Whether this is what the server works at now. Servers before 1.7 do not know our id: there it has to be."""
        try:
            answer = await self._server.post_json("/internal/progress", {"id_task": task_id, "live_preview": False})
        except FailedPrecondition:
            return True
        known = isinstance(answer, dict) and (answer.get("active") or answer.get("queued") or answer.get("completed"))
        return bool(answer["active"]) if known else True


def _image(answer: Any) -> bytes:
    images = answer.get("images") if isinstance(answer, dict) else None
    first = text_of(images[0]) if isinstance(images, list) and images else ""
    if not first:
        raise error_said("AUTOMATIC1111", "it answered without a picture")
    try:
        return base64.b64decode(first.rpartition(",")[2], validate=True)
    except binascii.Error as error:
        raise error_said("AUTOMATIC1111", "its picture is no Base64") from error
