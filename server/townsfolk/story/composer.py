"""Makes a story: the concept first, then story and picture prompts in the same decode steps, then the pictures.

All texts are turns like any other, but belong to no session and leave nothing behind. What the second pass writes is
handed to the engine in a row, so that its lines start in the same step and decode side by side.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from townsfolk.dialogue.events import (
    ActionTaken,
    EmotionShown,
    FinishReason,
    SpeechDelta,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from townsfolk.dialogue.outbox import Outbox
from townsfolk.dialogue.running_turn import Turn
from townsfolk.dialogue.turn import ENGINE_RETRY_S, TurnRunner
from townsfolk.engine.interface import Engine
from townsfolk.engine.messages import AdapterRef
from townsfolk.errors import Cancelled, DeadlineExceeded, Unavailable, from_status
from townsfolk.personas.library import PersonaLibrary
from townsfolk.story.concept import Concept, read_concept
from townsfolk.story.events import Part, PartDelta, PartFinished, PartStarted, StoryEvent, StoryFinished
from townsfolk.story.illustrator import Illustrator
from townsfolk.story.request import MAX_DEADLINE_S, StoryRequest
from townsfolk.story.writers import Text, Writers, concept_text, find_writers, second_pass

PRIORITY = -1  # chatter: no player waits for a story
Tell = Callable[[StoryEvent], Awaitable[None]]


class StoryComposer:
    """Makes stories.

    Args:
        runner: runs the texts' turns.
        engine: that the runner asks.
        library: of the personas.
        illustrator: draws the pictures.
    """

    def __init__(self, runner: TurnRunner, engine: Engine, library: PersonaLibrary, illustrator: Illustrator) -> None:
        self._runner = runner
        self._engine = engine
        self._library = library
        self._illustrator = illustrator

    async def compose(self, request: StoryRequest, tell: Tell) -> None:
        """Make the story of a ``checked_request``; everything that happens is told. Cancelling the call ends it all.

        Raises what is wrong with the request's personas before anything is told, and later what went wrong with a
        text. A picture that fails is told of, and raises nothing.
        """
        began = time.monotonic()
        if not self._engine.ready:
            raise Unavailable(
                "the engine is loading or being started again; try again shortly", retry_after_s=ENGINE_RETRY_S
            )
        writers = await asyncio.to_thread(self._find_writers, request)
        async with self._resident(writers.adapters):
            concept = request.concept
            if concept is None:
                concept = await self._invent(request, writers, tell)
            else:
                await tell(PartStarted(Part.CONCEPT))
                await tell(PartFinished(Part.CONCEPT, concept.as_json(), concept=concept))
        texts = await asyncio.to_thread(second_pass, request, concept, writers, self._runner.prepare())
        writing = time.monotonic()
        written = await self._write_all(texts, tell, in_turn=request.in_turn)
        texts_s = time.monotonic() - writing
        written.sort(key=lambda end: end.index)
        prompts = [end.text for end in written if end.part is Part.PICTURE_PROMPT]
        drawn = 0
        if request.picture is not None and not request.picture.prompts_only:
            drawn = await self._illustrator.draw(prompts, request.picture, tell)
        story = next(end.text for end in written if end.part is Part.STORY)
        total_s = time.monotonic() - began
        seed = request.sampling.seed or 0
        await tell(StoryFinished(story, drawn > 0, total_s, seed, texts_s, _steps(written)))

    def _find_writers(self, request: StoryRequest) -> Writers:
        self._runner.prepare()  # which tells the library whose adapters count
        return find_writers(request, self._library)

    async def _invent(self, request: StoryRequest, writers: Writers, tell: Tell) -> Concept:
        text = await asyncio.to_thread(concept_text, request, writers, self._runner.prepare())
        (end,) = await self._write([text], tell)
        assert end.concept is not None
        return end.concept

    @asynccontextmanager
    async def _resident(self, adapters: Sequence[AdapterRef]) -> AsyncIterator[None]:
        """Reads adapters while something else goes on, so that no line of the second pass waits for a disk alone."""
        loading = asyncio.gather(*map(self._engine.load_adapter, adapters), return_exceptions=True)
        try:
            yield
            await loading  # what kept one from loading is raised to the line that wears it
        finally:
            loading.cancel()

    async def _write_all(self, texts: Sequence[Text], tell: Tell, *, in_turn: bool) -> list[PartFinished]:
        if not in_turn:
            return await self._write(texts, tell)
        return [end for text in texts for end in await self._write([text], tell)]

    async def _write(self, texts: Sequence[Text], tell: Tell) -> list[PartFinished]:
        """Write texts together; returns their ends in the order in which they came."""
        outbox = Outbox()
        turns = [
            Turn(secrets.token_hex(16), text.persona_id, None, outbox, may_fall_back=False, kept=False)
            for text in texts
        ]
        of_turn = {turn.id: text for turn, text in zip(turns, texts, strict=True)}
        ends: list[PartFinished] = []
        try:
            for turn in turns:
                self._runner.start_planned(
                    turn, of_turn[turn.id].plan, priority=PRIORITY, call_deadline_s=MAX_DEADLINE_S
                )
            while len(ends) < len(turns):
                for event in await outbox.take():
                    told = _story_event(event, of_turn[event.turn_id])
                    if isinstance(told, PartFinished):
                        ends.append(told)
                    await tell(told)
        finally:
            for turn in turns:
                turn.cancel()  # does nothing to those that have ended; else a text failed or the client is gone
        return ends


def _story_event(event: TurnEvent, text: Text) -> StoryEvent:
    """An event of a text's turn as one of the story. Raises what the turn failed with, or why it was cut."""
    match event.what:
        case TurnStarted(digest):
            return PartStarted(text.part, text.index, text.persona_id, digest)
        case SpeechDelta(words):
            return PartDelta(text.part, words, text.index)
        case TurnFailed(error):
            raise from_status(
                error.status, f"the {text.part} failed: {error.message}", retry_after_s=error.retry_after_s
            ) from error
        case TurnFinished(FinishReason.CANCELLED):
            raise Cancelled(f"the {text.part} was cancelled")
        case TurnFinished(FinishReason.DEADLINE):
            raise DeadlineExceeded(f"the {text.part} was not written in time")
        case EmotionShown() | ActionTaken():
            raise AssertionError("a text of a story is asked for without cues")
        case TurnFinished(reason, words, stats):
            concept = read_concept(words) if text.part is Part.CONCEPT else None
            return PartFinished(text.part, words, reason, stats, stats.total_s, text.index, concept)


def _steps(ends: Sequence[PartFinished]) -> int:
    """Decode steps that the texts took, each counted once however many texts it served."""
    steps: set[int] = set()
    for end in ends:
        if end.stats is not None and end.stats.first_step:
            steps.update(range(end.stats.first_step, end.stats.last_step + 1))
    return len(steps)
