"""Fallback lines over the wire: a game never shows an empty bubble where the persona has a line for that."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import grpc
import pytest

from tests.daemon.conftest import StartTown, Town, kinds, soon, spoken
from tests.daemon.test_converse import Scene
from tests.daemon.test_resume import resume
from tests.fakes import Reply, ScriptedEngine, unavailable
from townsfolk.config import EngineSettings
from townsfolk.daemon.server import Daemon
from townsfolk.engine.process import EngineProcess
from townsfolk.errors import InvalidArgument, ResourceExhausted
from townsfolk.v1 import common_pb2
from townsfolk.v1.common_pb2 import TurnEvent
from townsfolk.v1.daemon_pb2 import GetStatsRequest
from townsfolk.v1.dialogue_pb2 import CancelTurnRequest, ReportHeardRequest, SayRequest
from townsfolk.v1.session_pb2 import RestoreRequest, SaveRequest

LINES = {
    "busy": ["Steel's hot. Wait.", "Moment."],
    "timeout": ["Can't hear over hammer.", "Mid-quench. Ask after."],
    "error": ["Bad heat. Start over.", "Fire's out."],
}


@pytest.fixture(autouse=True)
def lines_for_the_smith(persona_folder: Path) -> None:
    text = "\n".join(
        f'\n[[fallback]]\nline = "{line}"\nwhen = "{when}"' for when, lines in LINES.items() for line in lines
    )
    with (persona_folder / "smith" / "persona.toml").open("a", encoding="utf-8") as file:
        file.write(text)


def check_fallback(events: list[TurnEvent], reason: str, *, started: bool) -> str:
    """Events are those of a fallback line for this reason. Returns the line."""
    finished = events[-1].finished
    assert (finished.fallback, finished.fallback_reason) == (True, reason)
    assert finished.text == spoken(events)
    assert finished.text in LINES[reason]
    deadline = common_pb2.FINISH_REASON_DEADLINE
    assert finished.reason == (deadline if reason == "timeout" else common_pb2.FINISH_REASON_STOP)
    assert kinds(events) == [*(["started"] if started else []), "speech_delta", "finished"]
    assert [event.sequence for event in events] == list(range(len(events)))
    assert events[-2].speech_delta.token_count == 0
    return str(finished.text)


async def test_a_deadline_before_the_first_word_brings_a_fallback_line(town: Town) -> None:
    town.engine.script.append(Reply(hold=asyncio.Event()))
    events = await town.say(deadline_s=0.2, turn_id="t1")
    check_fallback(events, "timeout", started=True)
    line = await town.engine.line(0)
    await soon(line.ended.wait())
    assert line.cancelled
    assert await resume(town) == events
    town_stats = (await town.stats.GetStats(GetStatsRequest())).town
    assert (town_stats.turns_finished, town_stats.turns_fallback, town_stats.turns_failed) == (1, 1, 0)


async def test_the_fallback_line_arrives_within_the_calls_own_deadline(town: Town) -> None:
    town.engine.script.append(Reply(hold=asyncio.Event()))
    call = town.dialogue.Say(SayRequest(persona_id="smith", text="Well?"), timeout=2.0)
    events = [response.event async for response in call]
    check_fallback(events, "timeout", started=True)


async def test_a_line_that_waits_for_another_gets_one_in_time(town: Town) -> None:
    session = await town.open("smith")
    hold = asyncio.Event()
    town.engine.script.append(Reply(hold=hold))
    first = asyncio.create_task(town.say(session_id=session))
    await town.engine.line(0)
    check_fallback(await town.say(session_id=session, deadline_s=0.05), "timeout", started=False)
    hold.set()
    assert spoken(await first) == "Aye."


async def test_a_deadline_in_mid_line_keeps_what_was_said_and_adds_nothing(town: Town) -> None:
    town.engine.script.append(Reply("Aye, never.", hold=asyncio.Event(), hold_after=4))
    events = await town.say(deadline_s=0.2)
    assert events[-1].finished.text == spoken(events) == "Aye,"
    assert events[-1].finished.reason == common_pb2.FINISH_REASON_DEADLINE
    assert not events[-1].finished.fallback


async def test_a_full_queue_is_busy(start_town: StartTown) -> None:
    hold = asyncio.Event()
    town = await start_town(ScriptedEngine([Reply(hold=hold)]), max_queued_turns=1)
    first = asyncio.create_task(town.say())
    await town.engine.line(0)
    check_fallback(await town.say(), "busy", started=False)
    scene = Scene(town)
    await scene.say("t2")
    await scene.until_ended("t2")
    check_fallback(scene.events["t2"], "busy", started=False)
    with pytest.raises(grpc.aio.AioRpcError) as raised:  # what is wrong with the request is still told
        await town.say("")
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert len(town.engine.lines) == 1
    hold.set()
    assert spoken(await first) == "Aye."
    assert spoken(await town.say()) == "Aye."


async def test_a_full_engine_is_busy(town: Town) -> None:
    town.engine.script.append(Reply(error=ResourceExhausted("the engine's queue is full")))
    check_fallback(await town.say(), "busy", started=True)


async def test_an_engine_that_is_down_is_an_error(town: Town) -> None:
    town.engine.die()
    first = check_fallback(await town.say(), "error", started=False)
    assert check_fallback(await town.say(), "error", started=False) != first
    town.engine.come_back()
    assert spoken(await town.say()) == "Aye."


async def test_an_engine_that_dies_before_the_first_word_is_an_error(town: Town) -> None:
    town.engine.script.append(Reply(hold=asyncio.Event()))
    saying = asyncio.create_task(town.say())
    await town.engine.line(0)
    town.engine.die()
    check_fallback(await saying, "error", started=True)


async def test_an_engine_that_dies_after_words_were_spoken_leaves_them_alone(town: Town) -> None:
    town.engine.script.append(Reply("Aye, sir.", error=unavailable(), fail_after=4))
    scene = Scene(town)
    await scene.say("t1")
    await scene.until_ended("t1")
    assert spoken(scene.events["t1"]) == "Aye,"
    assert scene.events["t1"][-1].error.code == grpc.StatusCode.UNAVAILABLE.value[0]


async def test_a_mistake_of_ours_is_an_error(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    town.engine.script.append(Reply(error=ZeroDivisionError("secret detail")))
    check_fallback(await town.say(), "error", started=True)
    assert "secret detail" in caplog.text


async def test_what_is_wrong_with_the_request_gets_no_fallback_line(town: Town) -> None:
    town.engine.script.append(Reply(error=InvalidArgument("too long", field="text")))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await town.say()
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_slow_reader_gets_no_fallback_line(town: Town) -> None:
    town.daemon._dialogue._max_waiting_events = 1
    town.engine.script.append(Reply(" " * 50 + "Aye."))
    scene = Scene(town)
    for number in range(3):
        await scene.say(f"t{number}")
    await scene.until_ended("t0", "t1", "t2")
    assert not any(event.finished.fallback for events in scene.events.values() for event in events)


async def test_a_cancelled_line_gets_no_fallback_line(town: Town) -> None:
    town.engine.script.append(Reply(hold=asyncio.Event()))
    saying = asyncio.create_task(town.say(turn_id="t1"))
    await town.engine.line(0)
    await town.dialogue.CancelTurn(CancelTurnRequest(turn_id="t1"))
    events = await saying
    assert (events[-1].finished.reason, spoken(events)) == (common_pb2.FINISH_REASON_CANCELLED, "")


async def test_a_persona_without_lines_gets_the_error(town: Town) -> None:
    town.engine.die()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await town.say(persona_id="elf")
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_the_last_line_is_never_repeated_not_even_after_a_restore(start_town: StartTown) -> None:
    town = await start_town()
    session = await town.open("smith")
    town.engine.die()
    said = [check_fallback(await town.say(session_id=session), "error", started=False) for _ in range(3)]
    assert said == [LINES["error"][0], LINES["error"][1], LINES["error"][0]]
    state = (await town.sessions.Save(SaveRequest(session_id=session))).state
    fresh = await start_town()
    await fresh.sessions.Restore(RestoreRequest(state=state))
    fresh.engine.die()
    assert check_fallback(await fresh.say(session_id=session), "error", started=False) == LINES["error"][1]


async def test_neither_a_fallback_line_nor_what_it_answered_is_remembered(town: Town) -> None:
    session = await town.open("smith")
    town.engine.die()
    await town.say("Can you hear me?", session_id=session, turn_id="t1")
    report = ReportHeardRequest(turn_id="t1", heard_characters=5)
    assert (await town.dialogue.ReportHeard(report)).kept_text == ""
    town.engine.come_back()
    await town.say("Well?", session_id=session)
    prompt = (await town.engine.line(0)).prompt
    assert "Can you hear me?" not in prompt
    assert not any(line in prompt for line in LINES["error"])


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
async def test_an_engine_process_killed_in_mid_line_brings_the_fallback_line(town: Town) -> None:
    command = [sys.executable, str(Path(__file__).with_name("silent_child.py"))]
    engine = EngineProcess(EngineSettings(restart_backoff_s=30), command)  # type: ignore[call-arg]
    daemon = Daemon(town.daemon.settings, engine)
    await daemon.start()
    try:
        async with grpc.aio.insecure_channel(daemon.address) as channel:
            victim = Town(daemon, ScriptedEngine(), channel)
            call = victim.dialogue.Say(SayRequest(persona_id="smith", text="Well?"))
            events = [(await soon(call.read())).event]
            assert events[0].HasField("started")
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            while not events[-1].HasField("finished"):
                events.append((await soon(call.read())).event)
            first = check_fallback(events, "error", started=True)
            assert (
                check_fallback(await victim.say(), "error", started=False) != first
            )  # while it is being started again
    finally:
        await daemon.stop()
