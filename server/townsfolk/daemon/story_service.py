"""``StoryService``: an idea, and what becomes of it, on one stream."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc

from townsfolk.daemon.admission import Admission
from townsfolk.daemon.convert import REASONS, error_message, sampling_overrides, stats_message
from townsfolk.errors import DeadlineExceeded, ResourceExhausted
from townsfolk.story.composer import PRIORITY, StoryComposer
from townsfolk.story.concept import Concept
from townsfolk.story.events import (
    Part,
    PartDelta,
    PartFinished,
    PartStarted,
    PictureDrawn,
    PictureFailed,
    PictureProgress,
    StoryEvent,
    StoryFinished,
)
from townsfolk.story.request import MAX_DEADLINE_S, PictureWish, StoryRequest, checked_request
from townsfolk.v1 import story_pb2 as pb
from townsfolk.v1.story_pb2_grpc import StoryServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

MAX_STORIES = 16  # at once; their pictures wait for one another
CHUNK_BYTES = 256 * 1024
FULL_RETRY_S = 5.0
PARTS: dict[Part, pb.StoryPart] = {
    Part.CONCEPT: pb.STORY_PART_CONCEPT,
    Part.STORY: pb.STORY_PART_STORY,
    Part.PICTURE_PROMPT: pb.STORY_PART_PICTURE_PROMPT,
    Part.PICTURE: pb.STORY_PART_PICTURE,
}


class StoryService(StoryServiceServicer):
    """Composes stories.

    Args:
        composer: makes them.
        admission: bounds their texts, with all other turns.
        pictures: what a request leaves open of its pictures.
        max_stories: at once.
    """

    def __init__(
        self,
        composer: StoryComposer,
        admission: Admission,
        pictures: PictureWish,
        max_stories: int = MAX_STORIES,
    ) -> None:
        self._composer = composer
        self._admission = admission
        self._pictures = pictures
        self._max_stories = max_stories
        self._running = 0

    async def Compose(self, request: pb.ComposeRequest, context: Context) -> None:
        """See the API."""
        story = checked_request(story_request(request, self._pictures))
        if self._running >= self._max_stories:
            raise ResourceExhausted(
                f"{self._running} stories are being made, and no more may be; try again when one is done",
                retry_after_s=FULL_RETRY_S,
            )
        self._running += 1
        try:
            await self._compose(story, context)
        finally:
            self._running -= 1

    async def _compose(self, story: StoryRequest, context: Context) -> None:
        story_id = secrets.token_hex(16)
        numbers = itertools.count()
        with ExitStack() as admitted:
            for ticket in self._admission.admit_all(1 + story.prompts, PRIORITY):
                admitted.callback(ticket.release)

            async def tell(event: StoryEvent) -> None:
                if isinstance(event, PartStarted) and event.part is Part.PICTURE:
                    admitted.close()  # no text of this story runs any more
                for response in responses(event):
                    response.story_id, response.sequence = story_id, next(numbers)
                    await context.write(response)

            seconds = story.deadline_s or MAX_DEADLINE_S
            scope = asyncio.timeout(seconds)
            try:
                async with scope:
                    await self._composer.compose(story, tell)
            except TimeoutError as error:
                if not scope.expired():
                    raise
                raise DeadlineExceeded(f"the story was not done within its {seconds:g} s") from error


def story_request(request: pb.ComposeRequest, pictures: PictureWish) -> StoryRequest:
    """What a ``ComposeRequest`` asks for, with ``pictures`` for what it leaves open."""
    return StoryRequest(
        idea=request.idea,
        narrator_id=request.narrator_persona_id,
        cast_ids=tuple(request.cast_persona_ids),
        target_words=request.target_words,
        sampling=sampling_overrides(request.sampling),
        picture=_picture_wish(request.picture, pictures) if request.HasField("picture") else None,
        deadline_s=request.deadline_s,
        concept=_concept(request.concept) if request.HasField("concept") else None,
        wish=request.wish,
        base_model=request.base_model,
        in_turn=request.in_turn,
    )


def responses(event: StoryEvent) -> Iterator[pb.ComposeResponse]:
    """An event as messages without story and number; a picture is several."""
    match event:
        case PartStarted(part, index, persona_id, digest):
            started = pb.PartStarted(
                part=PARTS[part], picture_index=index, persona_id=persona_id, adapter_digest=digest
            )
            yield pb.ComposeResponse(part_started=started)
        case PartDelta(part, text, index):
            yield pb.ComposeResponse(part_delta=pb.PartDelta(part=PARTS[part], text=text, picture_index=index))
        case PartFinished():
            yield pb.ComposeResponse(part_finished=_part_finished(event))
        case PictureFailed(error, index):
            failed = pb.PartFailed(part=pb.STORY_PART_PICTURE, error=error_message(error), picture_index=index)
            yield pb.ComposeResponse(part_failed=failed)
        case PictureProgress(step, total_steps, index):
            progress = pb.PictureProgress(step=step, total_steps=total_steps, picture_index=index)
            yield pb.ComposeResponse(picture_progress=progress)
        case PictureDrawn():
            yield pb.ComposeResponse(picture=_picture(event))
            for offset in range(0, len(event.png), CHUNK_BYTES):
                data = event.png[offset : offset + CHUNK_BYTES]
                chunk = pb.PictureChunk(offset=offset, data=data, picture_index=event.index)
                yield pb.ComposeResponse(picture_chunk=chunk)
        case StoryFinished(story, has_picture, total_s, seed, texts_s, text_steps):
            finished = pb.ComposeFinished(
                story=story,
                has_picture=has_picture,
                total_s=total_s,
                seed=seed,
                texts_s=texts_s,
                text_steps=text_steps,
            )
            yield pb.ComposeResponse(finished=finished)


def _part_finished(event: PartFinished) -> pb.PartFinished:
    finished = pb.PartFinished(
        part=PARTS[event.part], text=event.text, total_s=event.total_s, picture_index=event.index
    )
    if event.reason is not None:
        finished.reason = REASONS[event.reason]
    if event.stats is not None:
        finished.stats.CopyFrom(stats_message(event.stats))
    if (concept := event.concept) is not None:
        finished.concept.CopyFrom(
            pb.Concept(title=concept.title, hero=concept.hero, conflict=concept.conflict, place=concept.place)
        )
    return finished


def _picture(event: PictureDrawn) -> pb.Picture:
    return pb.Picture(
        media_type="image/png",
        width=event.width,
        height=event.height,
        size_bytes=len(event.png),
        sha256=hashlib.sha256(event.png).hexdigest(),
        seed=event.seed,
        picture_index=event.index,
        prompt=event.prompt,
        steps=event.steps,
    )


def _concept(message: pb.Concept) -> Concept:
    return Concept(message.title, message.hero, message.conflict, message.place)


def _picture_wish(message: pb.PictureParams, left_open: PictureWish) -> PictureWish:
    return PictureWish(
        width=message.width or left_open.width,
        height=message.height or left_open.height,
        style=message.style or left_open.style,
        steps=message.steps if message.HasField("steps") else left_open.steps,
        seed=message.seed if message.HasField("seed") else None,
        negative_prompt=message.negative_prompt or left_open.negative_prompt,
        count=message.count or left_open.count,
        prompts_only=message.prompts_only,
    )
