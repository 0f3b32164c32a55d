"""Stable Diffusion XL through diffusers, in the picture process: loads the model and paints one order.

Memory on a card: ``full`` keeps the model there; ``offload`` moves its parts there in turn; ``smallest`` moves its
layers there in turn. The last two decode the picture in tiles.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline

from townsfolk.config import PictureSettings
from townsfolk.errors import FailedPrecondition, ResourceExhausted, Unavailable
from townsfolk.pictures.messages import Loaded
from townsfolk.pictures.model_folder import (
    COMPONENTS_WITH_WEIGHTS,
    HUB_NAME,
    check_model_folder,
    find_model_folder,
    weights_bytes,
)
from townsfolk.pictures.painter import OnStep, PictureOrder
from townsfolk.pictures.presets import Preset, preset_for

log = logging.getLogger("townsfolk.pictures")

WORKING_BYTES = 3 * 1024**3  # activations of a 1024×1024 picture, its decoding included


class Stopped(Exception):
    """The order was given up."""


class SdxlModel:
    """A loaded model. Raises ``FailedPrecondition`` or ``ResourceExhausted`` when it cannot be loaded."""

    def __init__(self, settings: PictureSettings) -> None:
        self._settings = settings
        self._device = _device(settings.device)
        folder = _folder(settings)
        variant = check_model_folder(folder)
        self._dtype = torch.float32 if self._device.type == "cpu" else torch.float16
        self._memory = _memory(settings.memory, self._device, folder)
        with self._out_of_memory_said("it was loaded"):
            self._pipeline = self._load(folder, variant)
        self._preset = self._preset_of_model()

    def describe(self) -> Loaded:
        """What was loaded, and where."""
        dtype = str(self._dtype).removeprefix("torch.")
        return Loaded(self._settings.model, str(self._device), dtype, self._memory)

    def steps_for(self, order: PictureOrder) -> int:
        """Denoising steps that the order takes."""
        return order.steps or self._settings.steps or self._preset.steps

    def paint(self, order: PictureOrder, on_step: OnStep, stopped: Callable[[], bool]) -> bytes:
        """The picture as PNG. ``stopped`` is asked after each step; raises ``Stopped``, ``ResourceExhausted``."""
        steps = self.steps_for(order)
        guidance = self._preset.guidance if self._settings.guidance is None else self._settings.guidance

        def after_step(pipeline: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            on_step(index + 1, steps)
            if stopped():
                raise Stopped
            return tensors

        with self._out_of_memory_said(f"a picture of {order.width}×{order.height} was painted"):
            try:
                result = self._pipeline(
                    prompt=order.prompt,
                    negative_prompt=order.negative_prompt or None,
                    width=order.width,
                    height=order.height,
                    num_inference_steps=steps,
                    guidance_scale=guidance,
                    # Drawn on the CPU, so that a seed gives the same noise on every device.
                    generator=torch.Generator("cpu").manual_seed(order.seed),
                    callback_on_step_end=after_step,
                )
            except BaseException:
                self._pipeline.maybe_free_model_hooks()
                raise
        file = io.BytesIO()
        result.images[0].convert("RGB").save(file, format="PNG")
        return file.getvalue()

    def _load(self, folder: Path, variant: str | None) -> Any:
        try:
            pipeline = StableDiffusionXLPipeline.from_pretrained(
                str(folder),
                variant=variant,
                dtype=self._dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                add_watermarker=False,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FailedPrecondition(
                f"the picture model in {folder} cannot be loaded ({_first_line(error)}); fetch it again or use another",
                field="pictures.model",
            ) from error
        pipeline.set_progress_bar_config(disable=True)
        match self._memory:
            case "offload":
                pipeline.enable_model_cpu_offload(device=self._device)
            case "smallest":
                pipeline.enable_sequential_cpu_offload(device=self._device)
            case _:
                pipeline.to(self._device)
        if self._memory != "full":
            pipeline.vae.enable_tiling()
        return pipeline

    def _preset_of_model(self) -> Preset:
        """By the name; a renamed turbo model is known by its scheduler, which spaces steps from the end."""
        trailing = self._pipeline.scheduler.config.get("timestep_spacing") == "trailing"
        return preset_for("turbo" if trailing else self._settings.model)

    @contextmanager
    def _out_of_memory_said(self, when: str) -> Iterator[None]:
        try:
            yield
        except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            raise ResourceExhausted(
                f"{self._device} ran out of memory while {when}; {self._what_would_help()}", field="pictures.memory"
            ) from error
        finally:
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    def _what_would_help(self) -> str:
        if self._device.type == "cpu":
            return "order a smaller picture, close other programs or paint with a server on another machine"
        leaner = {"full": 'set pictures.memory = "offload"', "offload": 'set pictures.memory = "smallest"'}
        ways = ["order a smaller picture", leaner.get(self._memory), 'set pictures.device = "cpu" (slow)']
        return " or ".join(way for way in ways if way)


def _folder(settings: PictureSettings) -> Path:
    if settings.download and HUB_NAME.fullmatch(settings.model) and not Path(settings.model).is_dir():
        return _downloaded(settings.model)
    return find_model_folder(settings.model)


def _downloaded(name: str) -> Path:
    """The hub model's folder in the hub's cache, fetched as far as it is missing; half-size weights if it has them."""
    wanted: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False}
    try:
        try:
            return Path(StableDiffusionXLPipeline.download(name, variant="fp16", **wanted))
        except ValueError:  # it has no such variant
            return Path(StableDiffusionXLPipeline.download(name, **wanted))
    except Exception as error:  # network, hub and disk each raise their own
        raise Unavailable(f"the picture model {name} cannot be fetched: {_first_line(error)}") from error


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise _no_device(f"{wanted!r} is no device; pictures.device is auto, cpu, mps, cuda or cuda:N") from error
    there = {
        "cpu": True,
        "mps": _has_mps(),
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
    }
    if not there.get(device.type, False):
        raise _no_device(f"this machine has no {wanted} that PyTorch can use; set pictures.device to auto or cpu")
    return device


def _memory(wanted: str, device: torch.device, folder: Path) -> str:
    """How the model shares a card's memory. Other devices share theirs with the CPU, where there is nothing to move."""
    if device.type != "cuda":
        return "full"
    if wanted != "auto":
        return wanted
    free, _ = torch.cuda.mem_get_info(device)
    parts = [weights_bytes(folder, component) for component in COMPONENTS_WITH_WEIGHTS]
    if free >= sum(parts) + WORKING_BYTES:
        return "full"
    return "offload" if free >= max(parts) + WORKING_BYTES else "smallest"


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _no_device(sentence: str) -> FailedPrecondition:
    return FailedPrecondition(sentence, field="pictures.device")


def _is_out_of_memory(error: BaseException) -> bool:
    """MPS and the CPU's allocator raise plain RuntimeErrors."""
    text = str(error)
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "out of memory" in text
        or "not enough memory" in text
        or "can't allocate memory" in text
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
