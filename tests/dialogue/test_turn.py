"""A turn without a wire: it ends exactly once, whatever happens to it and whenever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes import Reply, ScriptedEngine, unavailable, write_persona
from townsfolk.dialogue.events import (
    FallbackReason,
    FinishReason,
    SpeechDelta,
    TurnEvent,
    TurnFailed,
    TurnFinished,
)
from townsfolk.dialogue.outbox import Outbox
from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.request import SamplingOverrides, TurnRequest
from townsfolk.dialogue.session import SessionStore
from townsfolk.dialogue.turn import TurnRunner
from townsfolk.dialogue.turn_registry import KEPT_TURNS
from townsfolk.engine.messages import SamplingParams
from townsfolk.errors import InternalError, InvalidArgument, Unavailable
from townsfolk.personas.library import PersonaLibrary

HELLO = TurnRequest("smith", "Hello.")


@pytest_asyncio.fixture
async def engine() -> AsyncGenerator[ScriptedEngine, None]:
    engine = ScriptedEngine(max_context=600)
    await engine.start()
    yield engine
    assert not engine.running


@pytest.fixture
def runner(engine: ScriptedEngine, tmp_path: Path) -> TurnRunner:
    write_persona(tmp_path, "smith")
    return TurnRunner(engine, PersonaLibrary([tmp_path]), SessionStore(8, 8))


async def all_of(outbox: Outbox) -> list[TurnEvent]:
    """Events up to the last one of a turn; fails if something follows it."""
    events: list[TurnEvent] = []
    async with asyncio.timeout(5):
        while not (events and events[-1].last):
            more = await outbox.take()
            assert more
            events += more
        for _ in range(20):
            await asyncio.sleep(0)
    assert len(outbox) == 0
    return events


async def test_a_turn_can_be_had_as_a_generator(runner: TurnRunner) -> None:
    events = [event async for event in runner.speak(HELLO)]
    assert "".join(e.what.text for e in events if isinstance(e.what, SpeechDelta)) == "Aye."
    assert isinstance(events[-1].what, TurnFinished)


async def test_a_planned_line_may_have_a_json_schema(runner: TurnRunner, engine: ScriptedEngine) -> None:
    schema = '{"type": "object", "required": ["title"]}'
    prompt = runner.prepare().build("Plan.", [], "", "A lighthouse.", max_tokens=40)
    engine.script.append(Reply('{"title": "Ines"}'))
    outbox = Outbox()
    runner.start(HELLO, outbox, plan=LinePlan(prompt, SamplingParams(max_tokens=40), [], None, json_schema=schema))
    last = (await all_of(outbox))[-1].what
    assert isinstance(last, TurnFinished)
    assert last.text == '{"title": "Ines"}'
    assert engine.lines[0].json_schema == schema
    runner.start(HELLO, outbox)
    await all_of(outbox)
    assert engine.lines[1].json_schema == ""


async def test_a_bad_json_schema_fails_its_turn(runner: TurnRunner) -> None:
    outbox = Outbox()
    plan = LinePlan([1, 2], SamplingParams(max_tokens=40), [], None, json_schema='{"type": "strin"}')
    runner.start(HELLO, outbox, plan=plan)
    last = (await all_of(outbox))[-1].what
    assert isinstance(last, TurnFailed)
    assert isinstance(last.error, InvalidArgument)


async def test_leaving_the_generator_cancels_the_turn(runner: TurnRunner, engine: ScriptedEngine) -> None:
    engine.script.append(Reply(hold=asyncio.Event(), hold_after=1))
    async with aclosing(runner.speak(HELLO)) as events:
        async for _ in events:
            break
    line = await engine.line(0)
    await asyncio.wait_for(line.ended.wait(), 5)
    assert line.cancelled


@pytest.mark.parametrize("steps", range(12))
async def test_a_turn_cancelled_at_any_moment_finishes_exactly_once(runner: TurnRunner, steps: int) -> None:
    outbox = Outbox()
    ends: list[int] = []
    turn = runner.start(HELLO, outbox, on_end=lambda: ends.append(1))
    for _ in range(steps):  # 0: before the task has run at all
        await asyncio.sleep(0)
    cancelled = turn.cancel()
    assert not turn.cancel()
    events = await all_of(outbox)
    assert ends == [1]
    assert isinstance(events[-1].what, TurnFinished)
    assert (events[-1].what.reason is FinishReason.CANCELLED) == cancelled
    assert not runner.registry.running


async def test_a_turn_cancelled_before_it_began_asks_nothing_of_the_engine(
    runner: TurnRunner, engine: ScriptedEngine
) -> None:
    outbox = Outbox()
    runner.start(HELLO, outbox).cancel()
    assert len(await all_of(outbox)) == 1
    assert engine.lines == []


async def test_an_engine_that_gives_no_reason_is_a_mistake(runner: TurnRunner, engine: ScriptedEngine) -> None:
    for reason, expected in (("nonsense", InternalError), ("cancelled", Unavailable)):
        engine.script.append(Reply(reason=reason))
        outbox = Outbox()
        runner.start(HELLO, outbox)
        last = (await all_of(outbox))[-1].what
        assert isinstance(last, TurnFailed)
        assert isinstance(last.error, expected)


async def test_a_reply_that_leaves_no_room_for_the_prompt_is_refused(runner: TurnRunner) -> None:
    for max_tokens, field in ((600, "sampling.max_tokens"), (599, "text")):
        outbox = Outbox()
        runner.start(TurnRequest("smith", "Hi.", sampling=SamplingOverrides(max_tokens=max_tokens)), outbox)
        last = (await all_of(outbox))[-1].what
        assert isinstance(last, TurnFailed)
        assert isinstance(last.error, InvalidArgument)
        assert last.error.field == field


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_fallback_line_stands_in_only_where_it_may(
    runner: TurnRunner, engine: ScriptedEngine, tmp_path: Path, allowed: bool
) -> None:
    with (tmp_path / "smith" / "persona.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[fallback]]\nline = "Bad heat."\nwhen = "error"\n')
    engine.script.append(Reply(error=unavailable()))
    outbox = Outbox()
    runner.start(HELLO, outbox).may_fall_back = allowed
    last = (await all_of(outbox))[-1].what
    if allowed:
        assert isinstance(last, TurnFinished)
        assert (last.text, last.fallback) == ("Bad heat.", FallbackReason.ERROR)
    else:
        assert isinstance(last, TurnFailed)


async def test_a_long_history_leaves_room_for_the_line(runner: TurnRunner, engine: ScriptedEngine) -> None:
    session = runner.sessions.open(["smith"], session_id="s")
    for number in range(8):
        outbox = Outbox()
        runner.start(TurnRequest("", f"Question {number}. " + "x" * 80, session_id="s"), outbox)
        assert isinstance((await all_of(outbox))[-1].what, TurnFinished)
    assert len(session.history) == 8
    assert "Question 6." in engine.lines[-1].prompt
    assert "Question 0." not in engine.lines[-1].prompt


async def test_a_failed_line_that_said_nothing_is_not_remembered(runner: TurnRunner, engine: ScriptedEngine) -> None:
    session = runner.sessions.open(["smith"], session_id="s")
    engine.script.append(Reply(error=unavailable()))
    outbox = Outbox()
    runner.start(TurnRequest("", "Hello?", session_id="s"), outbox)
    await all_of(outbox)
    assert session.history == []


async def test_ids_of_ended_turns_are_kept_and_bounded(runner: TurnRunner) -> None:
    outbox = Outbox()
    for number in range(KEPT_TURNS + 10):
        runner.start(TurnRequest("smith", "Hi.", turn_id=f"t{number}"), outbox).cancel()
        await all_of(outbox)
    assert not runner.registry.cancel(f"t{KEPT_TURNS + 9}")
    runner.registry.check_free("t0")
    with pytest.raises(InvalidArgument):
        runner.registry.check_free(f"t{KEPT_TURNS}")
