"""Compose over a real channel: two passes, one batch, pictures behind them, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tests.daemon.conftest import EOF, PATIENCE_S, soon
from tests.fake_painter import ScriptedPainter
from tests.fakes import Line, Reply, ScriptedEngine, unavailable, write_adapter, write_persona
from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon
from townsfolk.errors import FailedPrecondition, ResourceExhausted
from townsfolk.story.concept import SCHEMA
from townsfolk.v1 import story_pb2 as pb
from townsfolk.v1.common_pb2 import FINISH_REASON_STOP, SamplingParams
from townsfolk.v1.story_pb2_grpc import StoryServiceStub

CONCEPT = {
    "title": "Das alte Licht",
    "hero": "Ines, die letzte Wärterin",
    "conflict": "the lamp shows ships that sank long ago",
    "place": "a rock off a northern coast",
}
TOLD = (
    "Title: Das alte Licht\nHero: Ines, die letzte Wärterin\n"
    "Conflict: the lamp shows ships that sank long ago\nPlace: a rock off a northern coast"
)
STORY = "Ines lit the lamp. The ships came home. 🚢"
PROMPT = "a lighthouse at night, ghost ships, oil painting"


class StoryTown:
    """A running daemon with a painter, and the stub to call it with."""

    def __init__(self, daemon: Daemon, engine: ScriptedEngine, channel: grpc.aio.Channel) -> None:
        self.daemon, self.engine, self.channel = daemon, engine, channel
        self._stub: Any = StoryServiceStub(channel)

    def call(self, timeout: float | None = None, **fields: Any) -> Any:
        """A story that is being made."""
        return self._stub.Compose(pb.ComposeRequest(**{"idea": "a lighthouse", **fields}), timeout=timeout)

    async def compose(self, **fields: Any) -> list[pb.ComposeResponse]:
        """All responses of one story."""
        async with asyncio.timeout(PATIENCE_S):
            return [response async for response in self.call(**fields)]

    async def refused(self, **fields: Any) -> tuple[grpc.StatusCode, str]:
        """Status and sentence of a story that is refused before anything of it reaches the engine."""
        before = len(self.engine.lines)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await self.compose(**fields)
        assert len(self.engine.lines) == before
        return raised.value.code(), raised.value.details() or ""


StartStories = Callable[..., Awaitable[StoryTown]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The two writers with adapters, and a smith with one."""
    for persona_id in ("story_writer", "picture_prompter"):
        write_adapter(write_persona(tmp_path, persona_id, kind="task"), weights=persona_id.encode())
    write_adapter(write_persona(tmp_path, "smith", summary="A smith who hoards old blades."), weights=b"smith")
    return tmp_path


@pytest_asyncio.fixture
async def start(folder: Path) -> AsyncGenerator[StartStories, None]:
    towns: list[StoryTown] = []

    async def start_(painter: ScriptedPainter | None = None) -> StoryTown:
        settings = Settings.model_validate(
            {"daemon": {"address": "127.0.0.1:0", "drain_grace_s": 0}, "personas": {"folders": [folder]}}
        )
        engine = ScriptedEngine()
        daemon = Daemon(settings, engine, painter)
        await daemon.start()
        towns.append(StoryTown(daemon, engine, grpc.aio.insecure_channel(daemon.address)))
        return towns[-1]

    yield start_
    for town in towns:
        await town.channel.close(None)
        await town.daemon.stop()
        assert not town.engine.running, "a text was left in the engine"
        assert not town.daemon.runner.registry.running, "a turn was left in the daemon"
        assert town.daemon._admission.in_flight == 0
        assert town.daemon._stories._running == 0


@pytest_asyncio.fixture
async def town(start: StartStories) -> StoryTown:
    """A daemon without a painter, whose engine writes one whole story."""
    town = await start()
    script(town)
    return town


def script(town: StoryTown, *prompts: str) -> None:
    town.engine.script.extend([Reply(json.dumps(CONCEPT, ensure_ascii=False)), Reply(STORY)])
    town.engine.script.extend(Reply(prompt) for prompt in prompts or (PROMPT,))


def kinds(responses: list[pb.ComposeResponse]) -> list[str]:
    """What came, with its part; deltas and progress of a kind in a row as one."""
    names = []
    for response in responses:
        kind = response.WhichOneof("event") or ""
        part = getattr(getattr(response, kind), "part", 0)
        names.append(f"{kind} {pb.StoryPart.Name(part).removeprefix('STORY_PART_').lower()}" if part else kind)
    return [name for at, name in enumerate(names) if at == 0 or name != names[at - 1]]


def ends(responses: list[pb.ComposeResponse], part: pb.StoryPart) -> list[pb.PartFinished]:
    found = [r.part_finished for r in responses if r.HasField("part_finished")]
    return sorted((end for end in found if end.part == part), key=lambda end: end.picture_index)


def deltas(responses: list[pb.ComposeResponse], part: pb.StoryPart, index: int = 0) -> str:
    found = [r.part_delta for r in responses if r.HasField("part_delta")]
    return "".join(d.text for d in found if d.part == part and d.picture_index == index)


def asked(line: Line) -> str:
    """The last thing that a prompt says before the model is to speak."""
    return line.prompt.rsplit("user\n", 1)[1].split("<|im_end|>", 1)[0]


# ── texts ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_idea_becomes_a_concept_and_that_a_story_and_a_prompt(town: StoryTown) -> None:
    responses = await town.compose()
    assert [r.sequence for r in responses] == list(range(len(responses)))
    assert len({r.story_id for r in responses}) == 1
    concept = ends(responses, pb.STORY_PART_CONCEPT)[0]
    assert {name: getattr(concept.concept, name) for name in CONCEPT} == CONCEPT
    assert json.loads(concept.text) == CONCEPT
    assert deltas(responses, pb.STORY_PART_CONCEPT) == concept.text
    story, prompt = ends(responses, pb.STORY_PART_STORY)[0], ends(responses, pb.STORY_PART_PICTURE_PROMPT)[0]
    assert deltas(responses, pb.STORY_PART_STORY) == story.text == STORY
    assert deltas(responses, pb.STORY_PART_PICTURE_PROMPT) == prompt.text == PROMPT
    assert story.reason == prompt.reason == FINISH_REASON_STOP
    last = responses[-1].finished
    assert (last.story, last.has_picture) == (STORY, False)
    assert last.total_s >= last.texts_s > 0


async def test_the_concept_is_held_to_a_grammar_and_written_by_the_base_model(town: StoryTown) -> None:
    await town.compose(idea="  a lighthouse\nthat\x07 remembers ")
    concept, story, prompt = town.engine.lines
    assert concept.json_schema == SCHEMA
    assert concept.adapter is None
    assert asked(concept) == "Idea: a lighthouse that remembers"
    assert (story.json_schema, prompt.json_schema) == ("", "")


async def test_the_writers_are_told_the_concept_as_they_were_trained(town: StoryTown) -> None:
    responses = await town.compose()
    _, story, prompt = town.engine.lines
    assert asked(story) == asked(prompt) == TOLD
    assert "You are story_writer." in story.prompt
    assert "You are picture_prompter." in prompt.prompt
    started = {r.part_started.part: r.part_started for r in responses if r.HasField("part_started")}
    for part, persona_id, line in (
        (pb.STORY_PART_STORY, "story_writer", story),
        (pb.STORY_PART_PICTURE_PROMPT, "picture_prompter", prompt),
    ):
        assert line.adapter is not None
        assert started[part].persona_id == persona_id
        assert started[part].adapter_digest == line.adapter.digest
    assert started[pb.STORY_PART_CONCEPT].adapter_digest == ""


async def test_story_and_prompt_share_decode_steps_of_two_adapters(town: StoryTown) -> None:
    responses = await town.compose()
    story, prompt = ends(responses, pb.STORY_PART_STORY)[0], ends(responses, pb.STORY_PART_PICTURE_PROMPT)[0]
    assert story.stats.max_batch_adapters == prompt.stats.max_batch_adapters == 2
    assert prompt.stats.shared_steps >= len(STORY) - 2
    assert abs(story.stats.first_step - prompt.stats.first_step) <= 2


async def test_neither_text_waits_for_the_other_to_be_streamed(town: StoryTown) -> None:
    hold = asyncio.Event()
    town.engine.script[1].hold, town.engine.script[1].hold_after = hold, 6
    seen: list[str] = []
    async for response in town.call(timeout=PATIENCE_S):
        seen += kinds([response])
        if response.part_finished.part == pb.STORY_PART_PICTURE_PROMPT:
            assert "part_delta story" in seen, "the story was not streamed while the prompt was written"
            assert "part_finished story" not in seen
            hold.set()
    assert seen[-1] == "finished"


async def test_written_in_turn_no_step_is_shared_and_the_texts_stay_the_same(town: StoryTown) -> None:
    script(town)
    together = await town.compose(sampling=SamplingParams(seed=5))
    in_turn = await town.compose(sampling=SamplingParams(seed=5), in_turn=True)
    for part in (pb.STORY_PART_STORY, pb.STORY_PART_PICTURE_PROMPT):
        assert ends(in_turn, part)[0].stats.shared_steps == 0
        assert ends(in_turn, part)[0].text == ends(together, part)[0].text
    assert in_turn[-1].finished.text_steps > 0
    assert [line.sampling.seed for line in town.engine.lines] == [5, 5, 6] * 2


async def test_one_seed_is_chosen_for_all_texts_and_reported(town: StoryTown) -> None:
    responses = await town.compose()
    seed = responses[-1].finished.seed
    assert [line.sampling.seed for line in town.engine.lines] == [seed, seed, seed + 1]


async def test_a_concept_that_is_given_is_not_thought_of_again(town: StoryTown) -> None:
    town.engine.script.popleft()
    responses = await town.compose(idea="", concept=pb.Concept(**CONCEPT), wish="darker")
    story, prompt = town.engine.lines
    assert asked(story) == asked(prompt) == f"{TOLD}\nWish: darker"
    end = ends(responses, pb.STORY_PART_CONCEPT)[0]
    assert json.loads(end.text) == CONCEPT
    assert not end.HasField("stats")


async def test_a_length_in_words_is_wished_for_and_given_room(town: StoryTown) -> None:
    await town.compose(target_words=200, wish="shorter")
    _, story, prompt = town.engine.lines
    assert asked(story).endswith("Wish: shorter, about 200 words")
    assert asked(prompt).endswith("Wish: shorter")
    assert story.sampling.max_tokens == 360
    assert prompt.sampling.max_tokens == 80


async def test_a_character_may_tell_it_and_others_appear_in_it(town: StoryTown) -> None:
    await town.compose(narrator_persona_id="smith", cast_persona_ids=["smith"])
    concept, story, _ = town.engine.lines
    assert "These appear in it: Smith, A smith who hoards old blades." in concept.prompt
    assert "You are smith." in story.prompt
    assert "in your own voice" in asked(story)
    assert story.adapter is not None


async def test_the_base_model_writes_where_it_is_asked_to(town: StoryTown, folder: Path) -> None:
    write_persona(folder, "bard")
    await town.compose(base_model=True, narrator_persona_id="bard")
    assert [line.adapter for line in town.engine.lines] == [None, None, None]


async def test_stories_wait_behind_lines_that_a_player_asked_for(town: StoryTown) -> None:
    await town.compose()
    assert {line.priority for line in town.engine.lines} == {-1}


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_pictures_follow_the_texts_with_progress_and_whole_bytes(start: StartStories) -> None:
    painter = ScriptedPainter(padding=600_000)
    town = await start(painter)
    script(town, "a lighthouse", "a ship")
    wish = pb.PictureParams(
        width=64, height=128, style="ink", steps=3, seed=2**64 - 1, negative_prompt="people", count=2
    )
    responses = await town.compose(picture=wish)
    first = next(at for at, r in enumerate(responses) if r.part_started.part == pb.STORY_PART_PICTURE)
    assert kinds(responses[first:]) == [
        *["part_started picture", "picture_progress", "picture", "picture_chunk", "part_finished picture"] * 2,
        "finished",
    ]
    for index, (prompt, seed) in enumerate([("ink, a lighthouse", 2**64 - 1), ("ink, a ship", 0)]):
        order = painter.orders[index]
        assert (order.prompt, order.width, order.height, order.steps) == (prompt, 64, 128, 3)
        assert (order.seed, order.negative_prompt) == (seed, "people")
        (picture,) = [r.picture for r in responses if r.HasField("picture") and r.picture.picture_index == index]
        pieces = [r.picture_chunk for r in responses if r.HasField("picture_chunk")]
        data = b""
        for piece in pieces:
            if piece.picture_index == index:
                assert piece.offset == len(data)
                assert 0 < len(piece.data) <= 256 * 1024
                data += piece.data
        assert len(data) == picture.size_bytes > 600_000
        assert hashlib.sha256(data).hexdigest() == picture.sha256
        assert data.startswith(b"\x89PNG")
        assert (picture.media_type, picture.width, picture.height) == ("image/png", 64, 128)
        assert (picture.seed, picture.prompt, picture.steps) == (seed, prompt, 3)
        steps = [r.picture_progress for r in responses if r.HasField("picture_progress")]
        assert [s.step for s in steps if s.picture_index == index][-1] == 3
    assert responses[-1].finished.has_picture


async def test_each_picture_has_a_prompt_of_its_own_written_in_the_same_steps(start: StartStories) -> None:
    town = await start(ScriptedPainter())
    script(town, "one", "two", "three")
    responses = await town.compose(picture=pb.PictureParams(count=3))
    assert [end.text for end in ends(responses, pb.STORY_PART_PICTURE_PROMPT)] == ["one", "two", "three"]
    seeds = [line.sampling.seed for line in town.engine.lines[2:]]
    assert len(set(seeds)) == 3
    assert all(end.stats.max_batch_rows == 4 for end in ends(responses, pb.STORY_PART_PICTURE_PROMPT))


async def test_prompts_alone_are_written_where_no_picture_is_wanted(start: StartStories) -> None:
    painter = ScriptedPainter()
    town = await start(painter)
    script(town, "one", "two")
    responses = await town.compose(picture=pb.PictureParams(count=2, prompts_only=True))
    assert len(ends(responses, pb.STORY_PART_PICTURE_PROMPT)) == 2
    assert not painter.orders
    assert not responses[-1].finished.has_picture


async def test_without_a_painter_the_story_comes_and_says_why_it_has_no_picture(town: StoryTown) -> None:
    responses = await town.compose(picture=pb.PictureParams())
    (failed,) = [r.part_failed for r in responses if r.HasField("part_failed")]
    assert failed.part == pb.STORY_PART_PICTURE
    assert failed.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert "nothing to draw with" in failed.error.message
    assert (responses[-1].finished.story, responses[-1].finished.has_picture) == (STORY, False)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (ResourceExhausted("the card is out of memory; ask for a smaller picture"), 8, "out of memory"),
        (FailedPrecondition("no picture model is at /models/sdxl"), 9, "no picture model"),
        (RuntimeError("secret detail"), 13, "the daemon made a mistake"),
    ],
)
async def test_a_picture_that_fails_loses_neither_the_story_nor_the_next_picture(
    start: StartStories, error: Exception, code: int, sentence: str
) -> None:
    painter = ScriptedPainter()
    painter.errors = [error]
    town = await start(painter)
    script(town, "one", "two")
    responses = await town.compose(picture=pb.PictureParams(count=2))
    (failed,) = [r.part_failed for r in responses if r.HasField("part_failed")]
    assert (failed.picture_index, failed.error.code) == (0, code)
    assert sentence in failed.error.message
    assert "secret" not in failed.error.message
    (picture,) = [r.picture for r in responses if r.HasField("picture")]
    assert picture.picture_index == 1
    assert responses[-1].finished.has_picture


async def test_a_picture_too_large_to_send_is_told_of(start: StartStories) -> None:
    town = await start(ScriptedPainter(padding=17 * 1024 * 1024))
    script(town)
    responses = await town.compose(picture=pb.PictureParams(width=64, height=64))
    (failed,) = [r.part_failed for r in responses if r.HasField("part_failed")]
    assert "can be sent" in failed.error.message
    assert responses[-1].finished.story == STORY


async def test_a_daemon_whose_painter_cannot_start_serves_texts(start: StartStories) -> None:
    painter = ScriptedPainter()
    painter.fail_start = FailedPrecondition("diffusers is missing")
    town = await start(painter)
    script(town)
    assert (await town.compose())[-1].finished.story == STORY
    await town.daemon.stop()
    assert painter.stopped


# ── cancelling and failing ───────────────────────────────────────────────────────────────────────────────────


async def test_a_cancelled_call_stops_the_drawing(start: StartStories) -> None:
    painter = ScriptedPainter(hold=asyncio.Event())
    town = await start(painter)
    script(town)
    call = town.call(picture=pb.PictureParams())
    reading = asyncio.ensure_future(_read_to_end(call))
    await soon(painter.holding.wait())
    assert town.daemon._admission.in_flight == 0, "texts that are written still count as turns in flight"
    call.cancel()
    await soon(painter.cancelled.wait())
    await asyncio.wait([reading])
    await _until(lambda: town.daemon._stories._running == 0)


async def test_a_cancelled_call_frees_both_texts(start: StartStories) -> None:
    town = await start()
    script(town)
    for reply in list(town.engine.script)[1:]:
        reply.hold, reply.hold_after = asyncio.Event(), 3
    call = town.call()
    reading = asyncio.ensure_future(_read_to_end(call))
    story, prompt = await town.engine.line(1), await town.engine.line(2)
    call.cancel()
    await soon(story.ended.wait())
    await soon(prompt.ended.wait())
    assert story.cancelled
    assert prompt.cancelled
    await asyncio.wait([reading])
    await _until(lambda: town.daemon._admission.in_flight == 0)


async def test_a_text_that_fails_ends_the_call_and_its_neighbour(start: StartStories) -> None:
    town = await start()
    held = Reply(PROMPT, hold=asyncio.Event(), hold_after=2)
    town.engine.script.extend([Reply(json.dumps(CONCEPT)), Reply(STORY, error=unavailable(), fail_after=4), held])
    responses, error = await _until_failure(town.call())
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert "the story failed: the engine is gone" in (error.details() or "")
    assert len(ends(responses, pb.STORY_PART_CONCEPT)) == 1, "what was finished was not sent"
    await soon(town.engine.lines[2].ended.wait())
    assert town.engine.lines[2].cancelled


@pytest.mark.parametrize(
    ("text", "reason"), [('{"title": "x', "length"), (json.dumps({**CONCEPT, "hero": "   "}), "stop")]
)
async def test_a_concept_that_is_cut_or_says_nothing_is_one_sentence(
    start: StartStories, text: str, reason: str
) -> None:
    town = await start()
    town.engine.script.append(Reply(text, reason=reason))
    _, error = await _until_failure(town.call())
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "no usable concept" in (error.details() or "")
    assert len(town.engine.lines) == 1


async def test_an_engine_without_grammars_says_so(start: StartStories) -> None:
    town = await start()
    refusal = FailedPrecondition("the engine remote cannot hold a line to a JSON schema")
    town.engine.script.append(Reply(error=refusal))
    _, error = await _until_failure(town.call())
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "JSON schema" in (error.details() or "")


async def test_a_story_past_its_deadline_ends_with_that_status(start: StartStories) -> None:
    town = await start()
    town.engine.script.append(Reply(json.dumps(CONCEPT), hold=asyncio.Event()))
    _, error = await _until_failure(town.call(deadline_s=0.1))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "0.1 s" in (error.details() or "")
    await soon(town.engine.lines[0].ended.wait())


async def test_a_daemon_that_stops_ends_its_stories(start: StartStories) -> None:
    painter = ScriptedPainter(hold=asyncio.Event())
    town = await start(painter)
    script(town)
    reading = asyncio.ensure_future(_read_to_end(town.call(picture=pb.PictureParams())))
    await soon(painter.holding.wait())
    await town.daemon.drain()
    await town.daemon.stop()
    await soon(painter.cancelled.wait())
    await asyncio.wait([reading])


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"idea": ""}, "the idea is empty"),
        ({"idea": " \n\x00 "}, "the idea is empty"),
        ({"idea": "x" * 100_000}, "idea has 100,000 characters; at most 2,000"),
        ({"wish": "x" * 121}, "wish has 121 characters"),
        ({"target_words": 49}, "target_words must be 50 to 1000"),
        ({"target_words": 1001}, "target_words must be 50 to 1000"),
        ({"deadline_s": -1.0}, "deadline_s must be"),
        ({"deadline_s": float("nan")}, "deadline_s must be"),
        ({"sampling": SamplingParams(stop=["x"])}, "no stop strings"),
        ({"sampling": SamplingParams(top_p=2)}, "sampling.top_p"),
        ({"cast_persona_ids": ["smith"] * 9}, "at most 8"),
        ({"picture": pb.PictureParams(width=65)}, "picture.width must be a multiple of 8 from 64 to 2048"),
        ({"picture": pb.PictureParams(height=4096)}, "picture.height must be"),
        ({"picture": pb.PictureParams(count=5)}, "picture.count must be 1 to 4"),
        ({"picture": pb.PictureParams(steps=0)}, "picture.steps must be 1 to 100"),
        ({"picture": pb.PictureParams(style="x" * 201)}, "picture.style has 201"),
        ({"picture": pb.PictureParams(negative_prompt="x" * 4001)}, "picture.negative_prompt has 4,001"),
        ({"concept": pb.Concept(title="A", hero="B", conflict="C")}, "the concept's place has 0 characters"),
        ({"concept": pb.Concept(**{**CONCEPT, "title": "x" * 121})}, "the concept's title has 121 characters"),
    ],
)
async def test_what_is_out_of_bounds_is_refused_in_one_sentence(
    town: StoryTown, fields: dict[str, Any], sentence: str
) -> None:
    code, details = await town.refused(**fields)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert sentence in details
    assert len(details) < 300


async def test_a_writer_without_an_adapter_is_refused_with_what_to_do(town: StoryTown, folder: Path) -> None:
    write_persona(folder, "bard")
    code, details = await town.refused(narrator_persona_id="bard")
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "townsfolk train bard" in details
    assert "base model" in details


async def test_unknown_personas_are_refused(town: StoryTown, folder: Path) -> None:
    assert (await town.refused(narrator_persona_id="nobody"))[0] == grpc.StatusCode.NOT_FOUND
    assert (await town.refused(cast_persona_ids=["nobody"]))[0] == grpc.StatusCode.NOT_FOUND
    (folder / "picture_prompter" / "persona.toml").unlink()
    code, details = await town.refused()
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert "stories need the persona picture_prompter" in details


async def test_no_more_stories_run_than_may(start: StartStories) -> None:
    town = await start()
    town.daemon._stories._max_stories = 1
    hold = asyncio.Event()
    town.engine.script.append(Reply(json.dumps(CONCEPT), hold=hold))
    first = asyncio.ensure_future(_read_to_end(town.call()))
    await town.engine.line(0)
    code, details = await town.refused()
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "try again" in details
    hold.set()
    assert (await soon(first))[-1].HasField("finished")


async def test_a_story_waits_for_the_engine_to_come_back(town: StoryTown) -> None:
    town.engine.die()
    assert (await town.refused())[0] == grpc.StatusCode.UNAVAILABLE
    town.engine.come_back()
    assert (await town.compose())[-1].finished.story == STORY


async def _read_to_end(call: Any) -> list[pb.ComposeResponse]:
    return [response async for response in call]


async def _until_failure(call: Any) -> tuple[list[pb.ComposeResponse], grpc.aio.AioRpcError]:
    """What came before a call failed, and how it failed."""
    responses: list[pb.ComposeResponse] = []
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            while (response := await call.read()) is not EOF:
                responses.append(response)
    return responses, raised.value


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)
