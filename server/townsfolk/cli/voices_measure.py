"""Measures what one batch saves: the same texts one voice after another, and together."""

from __future__ import annotations

import time
from collections.abc import Sequence

from townsfolk.cli.client import Town
from townsfolk.cli.comparing import speak_variants
from townsfolk.cli.preview_view import Voice
from townsfolk.cli.shared_steps import Measured
from townsfolk.errors import FailedPrecondition
from townsfolk.v1.preview_pb2 import CompareRequest, Variant


async def measure(town: Town, request: CompareRequest, texts: Sequence[str], timeout_s: float) -> Measured:
    """Speak each text under every variant of ``request`` alone, one after another, and then under all at once.

    The texts have been spoken before, so that both find adapters and prompts in the engine's cache, and only the
    decoding is compared. Raises ``FailedPrecondition`` if a voice fails.
    """
    alone_s = together_s = 0.0
    differing: dict[str, None] = {}
    for text in texts:
        alone = []
        for variant in request.variants:
            (said,), seconds = await _timed(town, _of(request, text, [variant]), timeout_s)
            alone.append(said)
            alone_s += seconds
        together, seconds = await _timed(town, _of(request, text, request.variants), timeout_s)
        together_s += seconds
        for variant, one, other in zip(request.variants, alone, together, strict=True):
            if one != other:
                differing[variant.label] = None
    return Measured(alone_s, together_s, tuple(differing))


def _of(request: CompareRequest, text: str, variants: Sequence[Variant]) -> CompareRequest:
    return CompareRequest(text=text, sampling=request.sampling, variants=variants)


async def _timed(town: Town, request: CompareRequest, timeout_s: float) -> tuple[list[str], float]:
    """What was said, and the seconds it took."""
    voices = [Voice(variant.label, index) for index, variant in enumerate(request.variants)]
    began = time.monotonic()
    await speak_variants(town, request, voices, timeout_s)
    seconds = time.monotonic() - began
    for voice in voices:
        if voice.error:
            raise FailedPrecondition(f"nothing was measured: {voice.label}: {voice.error}")
    return [voice.text for voice in voices], seconds
