"""How many steps and how much guidance suit a picture model, where the order does not say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """``steps``: denoising steps; ``guidance``: classifier-free guidance scale."""

    steps: int
    guidance: float


# Stability AI's own advice for each: stabilityai/stable-diffusion-xl-base-1.0 and stabilityai/sdxl-turbo on the hub.
STANDARD = Preset(steps=30, guidance=5.0)
TURBO = Preset(steps=4, guidance=0.0)


def preset_for(model: str) -> Preset:
    """By the model's name: distilled models carry ``turbo`` in theirs."""
    return TURBO if "turbo" in model.lower() else STANDARD
