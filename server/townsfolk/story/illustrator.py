"""Has the pictures of a story drawn, one after the other, and tells how far each is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from townsfolk.dialogue.request import MAX_SEED
from townsfolk.errors import FailedPrecondition, InternalError, InvalidArgument, ResourceExhausted, TownsfolkError
from townsfolk.pictures.painter import PaintedPicture, Painter, PictureOrder, in_style
from townsfolk.story.events import (
    Part,
    PartFinished,
    PartStarted,
    PictureDrawn,
    PictureFailed,
    PictureProgress,
    StoryEvent,
)
from townsfolk.story.request import PictureWish

log = logging.getLogger(__name__)

MAX_PICTURE_BYTES = 16 * 1024 * 1024
Tell = Callable[[StoryEvent], Awaitable[None]]


class Illustrator:
    """Draws with a painter, if there is one.

    Args:
        painter: that draws; ``None`` where there is nothing to draw with.
    """

    def __init__(self, painter: Painter | None) -> None:
        self._painter = painter

    async def draw(self, prompts: Sequence[str], wish: PictureWish, tell: Tell) -> int:
        """Draw a picture for each prompt; returns how many came out. One that fails is told of and left out."""
        drawn = 0
        for index, prompt in enumerate(prompts):
            began = time.monotonic()
            await tell(PartStarted(Part.PICTURE, index))
            try:
                picture = await self._paint(prompt, wish, index, tell)
            except TownsfolkError as error:
                await tell(PictureFailed(error, index))
                continue
            await tell(picture)
            await tell(PartFinished(Part.PICTURE, total_s=time.monotonic() - began, index=index))
            drawn += 1
        return drawn

    async def _paint(self, prompt: str, wish: PictureWish, index: int, tell: Tell) -> PictureDrawn:
        if self._painter is None:
            raise FailedPrecondition(
                "this daemon has nothing to draw with, so the story comes without pictures; docs/pictures.md says what "
                "to start or install"
            )
        words = in_style(wish.style, prompt)
        try:
            order = PictureOrder(
                words, wish.width, wish.height, wish.steps, ((wish.seed or 0) + index) & MAX_SEED, wish.negative_prompt
            )
        except InvalidArgument as error:
            raise InvalidArgument(error.message, field=f"picture.{error.field}") from error
        painted = await self._watched(self._painter, order, index, tell)
        if len(painted.png) > MAX_PICTURE_BYTES:
            raise ResourceExhausted(
                f"the picture has {len(painted.png):,} bytes; at most {MAX_PICTURE_BYTES:,} can be sent"
            )
        return PictureDrawn(painted.png, painted.width, painted.height, painted.seed, painted.steps, words, index)

    async def _watched(self, painter: Painter, order: PictureOrder, index: int, tell: Tell) -> PaintedPicture:
        """Paint, and tell of the latest step whenever the client has taken the one before."""
        news = asyncio.Event()
        latest: list[tuple[int, int]] = []

        def on_step(step: int, total: int) -> None:
            latest[:] = [(step, total)]
            news.set()

        painting = asyncio.ensure_future(painter.paint(order, on_step))
        painting.add_done_callback(lambda _: news.set())
        try:
            while latest or not painting.done():
                if latest:
                    await tell(PictureProgress(*latest.pop(), index))
                else:
                    news.clear()
                    await news.wait()
            return await painting
        except (TownsfolkError, asyncio.CancelledError):
            raise
        except Exception as error:
            if not painting.done() or painting.exception() is not error:
                raise  # the client's stream failed, not the picture
            log.exception("picture %d of a story failed", index)
            raise InternalError("the daemon made a mistake while drawing; its log tells more") from error
        finally:
            if not painting.done():
                painting.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([painting])
