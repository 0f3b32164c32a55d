"""What the daemon and the picture process say to each other, in the frames of ``townsfolk.frames``."""

from __future__ import annotations

from dataclasses import dataclass

from townsfolk.frames import FrameCodec
from townsfolk.pictures.painter import PictureOrder

# ── daemon → picture process ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Paint:
    order_id: int
    order: PictureOrder


@dataclass(frozen=True, slots=True)
class CancelPaint:
    """Give the order up after the step that runs. It is not answered."""

    order_id: int


# ── picture process → daemon ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Loaded:
    """Sent once, when the model is ready: where it runs, in which type, and how it shares memory."""

    model: str
    device: str
    dtype: str
    memory: str


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """Sent instead of ``Loaded``; the process ends. ``status``: name of a gRPC status."""

    status: str
    message: str


@dataclass(frozen=True, slots=True)
class StepDone:
    order_id: int
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class Painted:
    order_id: int
    png: bytes
    steps: int


@dataclass(frozen=True, slots=True)
class PaintFailed:
    order_id: int
    status: str
    message: str


Message = Paint | CancelPaint | Loaded | LoadFailed | StepDone | Painted | PaintFailed

# Parent and child always come from one installation, so tags may change between versions.
MESSAGE_TYPES = (Paint, CancelPaint, Loaded, LoadFailed, StepDone, Painted, PaintFailed, PictureOrder)
CODEC: FrameCodec[Message] = FrameCodec(MESSAGE_TYPES, Message)
