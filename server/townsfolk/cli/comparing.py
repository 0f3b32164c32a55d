"""One comparison from its request to its last event, drawn on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from townsfolk.cli.preview_view import LiveComparison, Voice

if TYPE_CHECKING:
    from rich.console import Console

    from townsfolk.cli.client import Town
    from townsfolk.v1.preview_pb2 import CompareRequest, CompareResponse

FRAMES_PER_S = 8.0  # drawing costs time on the cores that the model needs


async def speak_variants(
    town: Town,
    request: CompareRequest,
    voices: Sequence[Voice],
    timeout_s: float,
    *,
    screen: Console | None = None,
    heard: Callable[[CompareResponse, Voice], None] | None = None,
) -> None:
    """Speak the variants of ``request`` into ``voices``, one for each, until all have ended.

    Args:
        town: where they are spoken.
        request: what is asked.
        voices: take the events in, in the order of the variants. One that fails says so itself.
        timeout_s: seconds for all of them.
        screen: a terminal on which they grow; nothing is left on it.
        heard: called with each event, after its voice has taken it in.
    """

    async def listen() -> None:
        async for response in town.compare(request, timeout_s):
            voice = voices[response.variant_index]
            voice.take(response)
            if heard is not None:
                heard(response, voice)

    listening = asyncio.ensure_future(listen())
    try:
        if screen is not None:
            await _show(voices, listening, screen)
        await listening
    finally:
        listening.cancel()


async def _show(voices: Sequence[Voice], listening: asyncio.Future[None], screen: Console) -> None:
    """Draw the variants until all have ended."""
    from rich.live import Live

    with Live(LiveComparison(voices, screen), console=screen, auto_refresh=False, transient=True) as live:
        while not listening.done():
            live.refresh()
            await asyncio.wait([listening], timeout=1 / FRAMES_PER_S)
