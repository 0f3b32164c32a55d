"""Which painter there is, going by the settings and by what runs on this machine."""

from __future__ import annotations

import importlib.util
import logging

import httpx

from townsfolk.config import PictureSettings
from townsfolk.pictures import automatic1111, comfyui
from townsfolk.pictures.automatic1111 import Automatic1111Painter
from townsfolk.pictures.comfyui import ComfyUiPainter
from townsfolk.pictures.diffusers_painter import DiffusersPainter
from townsfolk.pictures.painter import Painter

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 2.0
HOW_TO_PAINT = (
    "there is nothing to paint pictures with; start ComfyUI or AUTOMATIC1111 (with --api), or run "
    "`pip install 'townsfolk[pictures]'` and set pictures.model to an SDXL model"
)


def make_painter(settings: PictureSettings) -> Painter | None:
    """The painter that the settings name; ``None`` when there is nothing to paint with.

    ``auto`` asks servers which they are and waits for them, a few seconds at most: call it outside an event loop.
    Raises ``InvalidArgument`` for an address that is no URL.
    """
    match settings.kind:
        case "none":
            return None
        case "diffusers":
            return DiffusersPainter(settings)
        case "comfyui":
            return ComfyUiPainter(settings)
        case "automatic1111":
            return Automatic1111Painter(settings)
        case "auto":
            return _found(settings)


def _found(settings: PictureSettings) -> Painter | None:
    if settings.address:
        painter = _at(settings.address, settings)
        if painter is None:
            log.warning("no ComfyUI or AUTOMATIC1111 answers at pictures.address; there will be no pictures")
        return painter
    if settings.model and importlib.util.find_spec("diffusers") is not None:
        return DiffusersPainter(settings)
    for address in (comfyui.DEFAULT_ADDRESS, automatic1111.DEFAULT_ADDRESS):
        if (painter := _at(address, settings)) is not None:
            return painter
    return None


def _at(address: str, settings: PictureSettings) -> Painter | None:
    """The painter for the server at an address, by a path that only that kind of server knows."""
    here = settings.model_copy(update={"address": address})
    if _answers(address, "/system_stats", dict):
        return ComfyUiPainter(here)
    if _answers(address, "/sdapi/v1/sd-models", list):
        return Automatic1111Painter(here)
    return None


def _answers(address: str, path: str, kind: type) -> bool:
    try:
        response = httpx.get(address.rstrip("/") + path, timeout=PROBE_TIMEOUT_S, trust_env=False)
        return response.is_success and isinstance(response.json(), kind)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False
