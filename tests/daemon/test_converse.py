"""Converse: a whole scene on one stream."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import pytest

from tests.daemon.conftest import EOF, StartTown, Town, kinds, soon, spoken
from tests.fakes import Reply, unavailable
from townsfolk.v1 import common_pb2
from townsfolk.v1.common_pb2 import TurnEvent
from townsfolk.v1.dialogue_pb2 import CancelTurnRequest, ConverseRequest, SayRequest


class Scene:
    """One Converse stream and what came over it, by turn."""

    def __init__(self, town: Town) -> None:
        self.call: Any = town.dialogue.Converse()
        self.events: defaultdict[str, list[TurnEvent]] = defaultdict(list)
        self.writes: list[list[TurnEvent]] = []

    async def say(self, turn_id: str, persona_id: str = "smith", text: str = "Hello.", **fields: Any) -> None:
        request = SayRequest(turn_id=turn_id, persona_id=persona_id, text=text, **fields)
        await soon(self.call.write(ConverseRequest(say=request)))

    async def cancel(self, turn_id: str) -> None:
        await soon(self.call.write(ConverseRequest(cancel=CancelTurnRequest(turn_id=turn_id))))

    async def until_ended(self, *turn_ids: str) -> None:
        """Read until all these turns have their last event."""
        while not all(self.events[t] and last(self.events[t]) for t in turn_ids):
            assert await self.read()

    async def read(self) -> list[TurnEvent]:
        """The events of the next response; none at the end."""
        response = await soon(self.call.read())
        if response is EOF:
            return []
        self.writes.append(list(response.events))
        for event in response.events:
            self.events[event.turn_id].append(event)
        return self.writes[-1]


def last(events: list[TurnEvent]) -> bool:
    return events[-1].WhichOneof("event") in ("finished", "error")


async def test_two_personas_speak_on_one_stream_in_shared_steps(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script += [Reply("Steel first.", hold=hold), Reply("Leaves first.", hold=hold)]
    scene = Scene(town)
    await scene.say("t1", "smith")
    await town.engine.line(0)
    await scene.say("t2", "elf")
    await town.engine.line(1)
    hold.set()
    await scene.until_ended("t1", "t2")
    assert spoken(scene.events["t1"]) == "Steel first."
    assert spoken(scene.events["t2"]) == "Leaves first."
    for turn_id in ("t1", "t2"):
        assert kinds(scene.events[turn_id]) == ["started", "speech_delta", "finished"]
        assert [e.sequence for e in scene.events[turn_id]] == list(range(len(scene.events[turn_id])))
        assert scene.events[turn_id][-1].finished.stats.shared_steps > 0
    await scene.call.done_writing()
    assert not await scene.read()


async def test_what_all_turns_say_in_one_step_is_one_write(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script += [Reply("Ay", hold=hold, hold_after=1), Reply("No", hold=hold, hold_after=1)]
    scene = Scene(town)
    for turn_id, persona_id in (("t1", "smith"), ("t2", "elf")):  # in turn: the first to ask gets the first reply
        await scene.say(turn_id, persona_id)
        while not spoken(scene.events[turn_id]):
            assert await scene.read()
    hold.set()
    written = await scene.read()
    assert {(e.turn_id, e.speech_delta.text) for e in written if e.HasField("speech_delta")} == {
        ("t1", "y"),
        ("t2", "o"),
    }
    await scene.until_ended("t1", "t2")


async def test_a_failed_turn_leaves_the_stream_alive(town: Town) -> None:
    scene = Scene(town)
    town.engine.script.append(Reply("Aye.", error=unavailable(), fail_after=2))
    await scene.say("t1")
    await scene.until_ended("t1")
    error = scene.events["t1"][-1].error
    assert error.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert error.retry_after_s == 0.5
    await scene.say("t2")
    await scene.until_ended("t2")
    assert spoken(scene.events["t2"]) == "Aye."


async def test_refused_turns_are_answered_with_their_field(town: Town) -> None:
    scene = Scene(town)
    await scene.say("t1", text="")
    await scene.say("t2", persona_id="nobody")
    await scene.say("t3", session_id="nope")
    await scene.until_ended("t1", "t2", "t3")
    assert [scene.events[t][-1].error.field for t in ("t1", "t2", "t3")] == ["text", "persona_id", "session_id"]
    assert [scene.events[t][-1].error.code for t in ("t1", "t2", "t3")] == [3, 5, 5]


async def test_an_empty_command_is_refused_and_the_stream_goes_on(town: Town) -> None:
    scene = Scene(town)
    await scene.call.write(ConverseRequest())
    (event,) = await scene.read()
    assert event.error.field == "command"
    await scene.say("t1")
    await scene.until_ended("t1")


async def test_a_turn_id_in_use_is_refused_without_ending_the_turn_that_has_it(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script.append(Reply(hold=hold))
    scene = Scene(town)
    await scene.say("t1")
    await scene.say("t1")
    await scene.until_ended("")
    assert scene.events[""][-1].error.field == "turn_id"
    hold.set()
    await scene.until_ended("t1")
    assert spoken(scene.events["t1"]) == "Aye."


async def test_a_cancelled_turn_finishes_on_its_stream(town: Town) -> None:
    town.engine.script.append(Reply(hold=asyncio.Event()))
    scene = Scene(town)
    await scene.say("t1")
    line = await town.engine.line(0)
    await scene.cancel("nobody-knows-it")
    await scene.cancel("t1")
    await scene.until_ended("t1")
    assert scene.events["t1"][-1].finished.reason == common_pb2.FINISH_REASON_CANCELLED
    await soon(line.ended.wait())
    assert line.cancelled


async def test_cancelling_a_turn_right_after_asking_for_it_still_finishes_it(town: Town) -> None:
    scene = Scene(town)
    for number in range(20):
        await scene.say(f"t{number}")
        await scene.cancel(f"t{number}")
    await scene.until_ended(*(f"t{number}" for number in range(20)))
    assert all(events[-1].HasField("finished") for events in scene.events.values())


async def test_half_closing_lets_running_turns_end(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script.append(Reply(hold=hold))
    scene = Scene(town)
    await scene.say("t1")
    await town.engine.line(0)
    await scene.call.done_writing()
    hold.set()
    await scene.until_ended("t1")
    assert not await scene.read()
    assert await scene.call.code() == grpc.StatusCode.OK


async def test_a_scene_without_a_word_ends_at_once(town: Town) -> None:
    scene = Scene(town)
    await scene.call.done_writing()
    assert not await scene.read()


async def test_leaving_the_scene_cancels_all_its_turns(town: Town) -> None:
    town.engine.script += [Reply(hold=asyncio.Event()), Reply(hold=asyncio.Event())]
    scene = Scene(town)
    await scene.say("t1", "smith")
    await scene.say("t2", "elf")
    lines = [await town.engine.line(0), await town.engine.line(1)]
    scene.call.cancel()
    for line in lines:
        await soon(line.ended.wait())
        assert line.cancelled


async def test_turns_of_one_stream_are_bounded(start_town: StartTown) -> None:
    town = await start_town(max_stream_turns=1)
    hold = asyncio.Event()
    town.engine.script.append(Reply(hold=hold))
    scene = Scene(town)
    await scene.say("t1")
    await scene.say("t2")
    await scene.until_ended("t2")
    assert scene.events["t2"][-1].error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    hold.set()
    await scene.until_ended("t1")
    await scene.say("t3")
    await scene.until_ended("t3")
    assert spoken(scene.events["t3"]) == "Aye."


async def test_a_slow_reader_loses_turns_and_keeps_its_stream(town: Town) -> None:
    town.daemon._dialogue._max_waiting_events = 16
    town.engine.script.append(Reply("x" * 100_000))
    scene = Scene(town)
    await scene.say("t1")
    line = await town.engine.line(0)
    await soon(line.ended.wait())  # it ends although nobody reads
    assert line.cancelled
    await scene.until_ended("t1")
    assert scene.events["t1"][-1].error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    await scene.say("t2")
    await scene.until_ended("t2")
    assert scene.events["t2"][-1].HasField("finished")


async def test_a_client_that_sends_and_never_reads_gets_no_further(town: Town) -> None:
    town.daemon._dialogue._max_waiting_events = 16
    sent = 0

    async def commands() -> AsyncGenerator[ConverseRequest, None]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield ConverseRequest()

    class StuckContext:
        async def write(self, response: object) -> None:
            await asyncio.Event().wait()

    service: Any = town.daemon._dialogue
    scene = asyncio.create_task(service.Converse(commands(), StuckContext()))
    for _ in range(2000):
        await asyncio.sleep(0)
    assert 32 <= sent <= 34  # as many wait as are on their way
    scene.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scene


async def test_lines_of_one_persona_are_spoken_in_the_order_they_were_asked(town: Town) -> None:
    session = await town.open("smith")
    scene = Scene(town)
    for number in range(5):
        await scene.say(f"t{number}", text=f"Question {number}.", session_id=session)
    await scene.until_ended(*(f"t{number}" for number in range(5)))
    questions = [past.exchange.player for past in town.daemon.sessions.get(session).history]
    assert questions == [f"Question {number}." for number in range(5)]


async def test_a_draining_daemon_ends_the_stream_unavailable(town: Town) -> None:
    scene = Scene(town)
    await scene.say("t1")
    await scene.until_ended("t1")
    await town.daemon.drain()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await scene.read()
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
