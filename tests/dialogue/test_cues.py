"""Emotion and action after a line: what the model is asked, what comes of its answer, and what becomes of the line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio

from tests.dialogue.test_turn import all_of
from tests.fakes import CAPABILITIES, Reply, ScriptedEngine, unavailable, write_adapter, write_persona
from townsfolk.dialogue.cues import MAX_ARGUMENT_CHARACTERS, CueSheet, cue_sheet
from townsfolk.dialogue.events import (
    ActionTaken,
    EmotionShown,
    FinishReason,
    SpeechDelta,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from townsfolk.dialogue.heard import report_heard
from townsfolk.dialogue.outbox import Outbox
from townsfolk.dialogue.request import TurnRequest
from townsfolk.dialogue.resume import resumed_events
from townsfolk.dialogue.session import SessionStore
from townsfolk.dialogue.turn import TurnRunner
from townsfolk.engine.messages import Ready
from townsfolk.errors import FailedPrecondition
from townsfolk.personas.library import PersonaLibrary
from townsfolk.personas.schema import ActionSpec, Persona

ASKED = TurnRequest("smith", "Mend my boots?", with_cues=True)
MENDS = {"name": "mend", "arguments": {"item": "boots", "price": 3}}
GRUFF = Reply('{"emotion": "gruff", "action": null}')
GRUFF_AND_MENDS = Reply(json.dumps({"emotion": "gruff", "action": MENDS}))
MEND = {
    "name": "mend",
    "description": "Mends a thing.",
    "args": {"item": {"type": "string", "enum": ["boots", "blade"]}, "price": {"type": "integer", "minimum": 0}},
}


@pytest_asyncio.fixture
async def engine() -> AsyncGenerator[ScriptedEngine, None]:
    engine = ScriptedEngine(max_context=1200)
    await engine.start()
    yield engine
    assert not engine.running


@pytest.fixture
def runner(engine: ScriptedEngine, tmp_path: Path) -> TurnRunner:
    smith = write_persona(tmp_path, "smith", emotions=["gruff", "dry"])
    with (smith / "persona.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[actions]]\nname = "mend"\ndescription = "Mends a thing."\n[actions.args]\n')
        file.write('item = { type = "string", enum = ["boots", "blade"] }\nprice = { type = "integer", minimum = 0 }\n')
        file.write('\n[[fallback]]\nline = "Bad heat."\nwhen = "error"\n')
    write_adapter(smith)
    write_persona(tmp_path, "monk")
    return TurnRunner(engine, PersonaLibrary([tmp_path]), SessionStore(8, 8))


async def events_of(runner: TurnRunner, request: TurnRequest = ASKED) -> list[Any]:
    """What happened in one turn, its deltas left out."""
    outbox = Outbox()
    runner.start(request, outbox)
    return [event.what for event in await all_of(outbox) if not isinstance(event.what, SpeechDelta)]


def sheet(emotions: list[str], *actions: dict[str, Any]) -> CueSheet:
    persona = Persona(id="smith", name="Smith", system="S.", emotions=emotions, actions=list(actions))  # type: ignore[call-arg, arg-type]
    made = cue_sheet(persona, persona.system)
    assert made is not None
    return made


async def test_emotion_and_action_come_between_the_line_and_its_end(runner: TurnRunner, engine: ScriptedEngine) -> None:
    engine.script += [Reply("Aye."), GRUFF_AND_MENDS]
    outbox = Outbox()
    runner.start(ASKED, outbox)
    events = await all_of(outbox)
    assert [event.sequence for event in events] == list(range(len(events)))
    started, *deltas, emotion, action, finished = [event.what for event in events]
    assert isinstance(started, TurnStarted)
    assert "".join(delta.text for delta in deltas if isinstance(delta, SpeechDelta)) == "Aye."
    assert emotion == EmotionShown("gruff")
    assert action == ActionTaken("mend", {"item": "boots", "price": 3})
    assert isinstance(finished, TurnFinished)
    assert (finished.reason, finished.text) == (FinishReason.STOP, "Aye.")
    assert finished.stats.completion_tokens == len("Aye.")


async def test_no_action_is_no_event(runner: TurnRunner, engine: ScriptedEngine) -> None:
    engine.script += [Reply(), GRUFF]
    assert [type(what) for what in await events_of(runner)] == [TurnStarted, EmotionShown, TurnFinished]


async def test_the_question_goes_on_from_the_line_with_its_adapter_and_priority(
    runner: TurnRunner, engine: ScriptedEngine
) -> None:
    runner.sessions.open(["smith"], session_id="s", player_name="Ines")
    engine.script += [Reply(), GRUFF, Reply(), GRUFF]
    request = replace(ASKED, session_id="s", priority=1)
    await events_of(runner, request)
    await events_of(runner, request)
    line, question = engine.lines[2:]
    assert question.prompt.startswith(line.prompt + "Aye.<|im_end|>")
    assert "How does Smith feel while saying that: gruff or dry?" in question.prompt
    assert question.adapter == line.adapter
    assert question.adapter is not None
    assert (question.priority, question.sampling.temperature) == (1, 0.0)
    assert question.json_schema
    assert line.json_schema == ""


async def test_neither_question_nor_answer_is_remembered(runner: TurnRunner, engine: ScriptedEngine) -> None:
    session = runner.sessions.open(["smith"], session_id="s")
    engine.script += [Reply(), GRUFF, Reply("No.")]
    await events_of(runner, replace(ASKED, session_id="s"))
    await events_of(runner, TurnRequest("", "Really?", session_id="s"))
    assert "gruff" not in engine.lines[-1].prompt
    assert "JSON" not in engine.lines[-1].prompt
    assert [past.exchange.reply for past in session.history] == ["Aye.", "No."]
    assert all(past.complete for past in session.history)


async def test_nobody_is_asked_for_cues_unasked(runner: TurnRunner, engine: ScriptedEngine) -> None:
    await events_of(runner, replace(ASKED, with_cues=False))
    assert len(engine.lines) == 1


async def test_a_persona_without_emotions_and_actions_just_speaks(
    runner: TurnRunner, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    unable(engine, monkeypatch)
    assert [type(what) for what in await events_of(runner, replace(ASKED, persona_id="monk"))] == [
        TurnStarted,
        TurnFinished,
    ]
    assert len(engine.lines) == 1


async def test_an_engine_that_cannot_guide_refuses_before_the_first_word(
    runner: TurnRunner, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    unable(engine, monkeypatch)
    (failed,) = await events_of(runner)
    assert isinstance(failed, TurnFailed)
    assert isinstance(failed.error, FailedPrecondition)
    assert failed.error.field == "with_cues"
    assert engine.lines == []
    assert isinstance((await events_of(runner, replace(ASKED, with_cues=False)))[-1], TurnFinished)


def unable(engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    info: Ready = replace(engine.info, capabilities=replace(CAPABILITIES, guided_decoding=False))
    monkeypatch.setattr(ScriptedEngine, "info", property(lambda _: info))


@pytest.mark.parametrize(
    "answer",
    [
        Reply(error=unavailable()),
        Reply('{"emotion": "gr', error=RuntimeError("a mistake"), fail_after=3),
        Reply('{"emotion": "gr', reason="length"),
        Reply(reason="cancelled"),
    ],
)
async def test_what_goes_wrong_with_the_cues_does_not_lose_the_line(
    runner: TurnRunner, engine: ScriptedEngine, answer: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    session = runner.sessions.open(["smith"], session_id="s")
    engine.script += [Reply(), answer]
    _, finished = await events_of(runner, replace(ASKED, session_id="s"))
    assert isinstance(finished, TurnFinished)
    assert (finished.reason, finished.text, finished.fallback) == (FinishReason.STOP, "Aye.", None)
    assert session.history[0].complete
    assert "has no cues" in caplog.text


async def test_a_reader_too_slow_for_the_cues_keeps_the_line(runner: TurnRunner, engine: ScriptedEngine) -> None:
    engine.script += [Reply(), GRUFF]
    outbox = Outbox(len("Aye.") + 1)
    turn = runner.start(ASKED, outbox)
    assert turn.task is not None
    await turn.task  # nothing was read meanwhile
    kinds = [type(event.what) for event in await all_of(outbox)]
    assert kinds == [TurnStarted, SpeechDelta, TurnFinished]


async def test_a_fallback_line_and_a_silent_one_have_no_cues(runner: TurnRunner, engine: ScriptedEngine) -> None:
    engine.script += [Reply(error=unavailable()), Reply("")]
    for _ in range(2):
        assert isinstance((await events_of(runner))[-1], TurnFinished)
    assert len(engine.lines) == 2


async def test_cancelling_the_turn_cancels_the_question(runner: TurnRunner, engine: ScriptedEngine) -> None:
    session = runner.sessions.open(["smith"], session_id="s")
    engine.script += [Reply(), replace(GRUFF, hold=asyncio.Event(), hold_after=1)]
    outbox = Outbox()
    turn = runner.start(replace(ASKED, session_id="s"), outbox)
    question = await engine.line(1)
    assert turn.cancel()
    last = (await all_of(outbox))[-1].what
    assert isinstance(last, TurnFinished)
    assert (last.reason, last.text) == (FinishReason.CANCELLED, "Aye.")
    assert question.cancelled
    assert session.history[0].complete


async def test_a_deadline_that_comes_before_the_cues_leaves_the_line_whole(
    runner: TurnRunner, engine: ScriptedEngine
) -> None:
    engine.script += [Reply(), replace(GRUFF, hold=asyncio.Event(), hold_after=1)]
    _, finished = await events_of(runner, replace(ASKED, deadline_s=0.2))
    assert isinstance(finished, TurnFinished)
    assert (finished.reason, finished.text) == (FinishReason.STOP, "Aye.")
    assert engine.lines[1].cancelled


async def test_what_was_heard_can_be_told_while_the_cues_are_decided(
    runner: TurnRunner, engine: ScriptedEngine
) -> None:
    session = runner.sessions.open(["smith"], session_id="s")
    engine.script += [Reply("Aye. Later."), replace(GRUFF, hold=asyncio.Event(), hold_after=1)]
    outbox = Outbox()
    turn = runner.start(replace(ASKED, session_id="s"), outbox)
    await engine.line(1)
    assert await report_heard(runner.registry, runner.sessions, turn.id, 4) == "Aye."
    await all_of(outbox)
    assert [past.exchange.reply for past in session.history] == ["Aye."]


async def test_resume_sends_the_cues_again(runner: TurnRunner, engine: ScriptedEngine) -> None:
    engine.script += [Reply(), GRUFF_AND_MENDS]
    outbox = Outbox()
    turn = runner.start(ASKED, outbox)
    first = await all_of(outbox)
    again = [e async for e in resumed_events(runner.registry, runner.sessions, turn.id, 0, 0.0)]
    assert again == first


def test_any_answer_that_the_schema_allows_can_be_read() -> None:
    made = sheet(["gruff", "dry", "gruff"], MEND, {"name": "nod"})
    schema = json.loads(made.schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    for action in (None, MENDS, {"name": "nod", "arguments": {}}):
        answer = {"emotion": "dry", "action": action}
        jsonschema.validate(answer, schema)
        assert made.read(json.dumps(answer))[0] == EmotionShown("dry")
    assert made.read('{"emotion": "dry", "action": {"name": "nod", "arguments": {}}}')[1] == ActionTaken("nod", {})
    assert schema["properties"]["emotion"]["enum"] == ["gruff", "dry"]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        '{"emotion": "joy", "action": null}',
        '{"emotion": "dry"}',
        '{"emotion": "dry", "action": {"name": "fly", "arguments": {}}}',
        '{"emotion": "dry", "action": {"name": "mend", "arguments": {"item": "boots"}}}',
        '{"emotion": "dry", "action": {"name": "mend", "arguments": ["item", "price"]}}',
        '{"emotion": "dry", "action": "mend"}',
    ],
)
def test_no_other_answer_passes(answer: str) -> None:
    with pytest.raises(FailedPrecondition, match="schema"):
        sheet(["gruff", "dry"], MEND).read(answer)


def test_only_what_a_persona_has_is_asked_for() -> None:
    only_emotions, only_actions = sheet(["dry"]), sheet([], MEND)
    assert only_emotions.read('{"emotion": "dry"}') == [EmotionShown("dry")]
    assert only_actions.read('{"action": null}') == []
    assert "mend" not in only_emotions.question
    assert "feel" not in only_actions.question
    assert "mend: Mends a thing." in only_actions.question


def test_texts_without_a_bound_of_their_own_get_one() -> None:
    args = {"free": {"type": "string", "description": "d"}, "own": {"type": "string", "maxLength": 200}}
    made = sheet([], ActionSpec(name="tell", args=args).model_dump())  # type: ignore[arg-type]
    arguments = json.loads(made.schema)["properties"]["action"]["anyOf"][1]["properties"]["arguments"]["properties"]
    assert arguments["free"]["maxLength"] == MAX_ARGUMENT_CHARACTERS
    assert arguments["own"]["maxLength"] == 200
