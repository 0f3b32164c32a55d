"""Resume: a client that lost its connection gets the rest of its line, nothing twice and nothing lost."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import grpc
import pytest

from tests.daemon.conftest import EOF, StartTown, Town, kinds, soon, spoken
from tests.daemon.test_converse import Scene
from tests.daemon.test_say import fault_of
from tests.fakes import Reply, ScriptedEngine, unavailable
from townsfolk.dialogue import turn_registry
from townsfolk.dialogue.turn_record import TurnRecord
from townsfolk.v1 import common_pb2
from townsfolk.v1.common_pb2 import TurnEvent
from townsfolk.v1.dialogue_pb2 import CancelTurnRequest, ReportHeardRequest, ResumeRequest, SayRequest

LINE = "Nine marks and a horse, and not a copper less. 🍺"
LONG_S = 60.0  # a grace that no test waits for


class Held:
    """A line that waits after a number of tokens until it is let go."""

    def __init__(self, town: Town, *, after: int, text: str = LINE) -> None:
        self.go_on = asyncio.Event()
        town.engine.script.append(Reply(text, hold=self.go_on, hold_after=after))


async def resume(town: Town, turn_id: str = "t1", start: int = 0) -> list[TurnEvent]:
    """All events from ``start`` on."""
    call = town.dialogue.Resume(ResumeRequest(turn_id=turn_id, from_sequence=start))

    async def read() -> list[TurnEvent]:
        return [response.event async for response in call]

    events: list[TurnEvent] = await soon(read())
    return events


async def refused(town: Town, turn_id: str = "t1", start: int = 0) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await resume(town, turn_id, start)
    return raised.value


async def broken_say(town: Town, words: str, **fields: Any) -> list[TurnEvent]:
    """Ask for a line and lose the connection once ``words`` have come. Returns what had come by then."""
    call = town.dialogue.Say(SayRequest(**{"persona_id": "smith", "text": "Well?", "turn_id": "t1", **fields}))
    events: list[TurnEvent] = []
    while spoken(events) != words:
        events.append((await soon(call.read())).event)
    call.cancel()
    turn = town.daemon.runner.registry.get("t1")
    while turn is not None and not turn.abandoned and not turn.ended:
        await asyncio.sleep(0)
    return events


def check_whole(events: list[TurnEvent], line: str = LINE) -> None:
    """Events are one whole turn: without gaps, without repeats."""
    assert [event.sequence for event in events] == list(range(len(events)))
    assert spoken(events) == events[-1].finished.text == line
    assert kinds(events) == ["started", "speech_delta", "finished"]


async def test_an_ended_turn_is_sent_again_exactly_as_first_sent(town: Town) -> None:
    town.engine.script.append(Reply(LINE))
    first = await town.say(turn_id="t1")
    for start in range(len(first) + 1):
        assert await resume(town, start=start) == first[start:]


async def test_a_line_whose_stream_broke_goes_on_and_is_taken_up(start_town: StartTown) -> None:
    town = await start_town(resume_grace_s=LONG_S)
    held = Held(town, after=5)
    before = await broken_say(town, "Nine")
    resuming = asyncio.create_task(resume(town, start=before[-1].sequence + 1))
    held.go_on.set()
    after = await resuming
    check_whole(before + after)
    assert not (await town.engine.line(0)).cancelled
    assert await resume(town) == before + after


async def test_what_was_said_while_nobody_listened_is_not_lost(start_town: StartTown) -> None:
    town = await start_town(resume_grace_s=LONG_S)
    held = Held(town, after=5)
    before = await broken_say(town, "Nine")
    held.go_on.set()
    await soon((await town.engine.line(0)).ended.wait())
    after = await resume(town, start=before[-1].sequence + 1)
    check_whole(before + after)
    assert len(after) == 2  # all that was said meanwhile in one delta, and the end


async def test_a_reader_that_comes_while_the_first_one_lags_freezes_what_it_has_read(town: Town) -> None:
    """Deltas that wait for a slow stream grow; once another stream has read one, it must not."""
    held = Held(town, after=5)
    written: list[TurnEvent] = []
    unblocked = asyncio.Event()

    class StuckContext:
        def time_remaining(self) -> float | None:
            return None

        async def write(self, response: Any) -> None:
            await unblocked.wait()
            written.append(response.event)

    service: Any = town.daemon._dialogue
    request = SayRequest(persona_id="smith", text="Well?", turn_id="t1")
    saying = asyncio.create_task(service.Say(request, StuckContext()))
    await town.engine.line(0)
    while town.daemon.runner.registry.running and next(iter(town.daemon.runner.registry.running)).spoken != "Nine":
        await asyncio.sleep(0)
    call = town.dialogue.Resume(ResumeRequest(turn_id="t1"))
    resumed: list[TurnEvent] = []
    while spoken(resumed) != "Nine":
        resumed.append((await soon(call.read())).event)
    held.go_on.set()
    while (response := await soon(call.read())) is not EOF:
        resumed.append(response.event)
    unblocked.set()
    await soon(saying)
    check_whole(resumed)
    assert written == resumed


async def test_many_streams_may_follow_one_turn(town: Town) -> None:
    held = Held(town, after=5)
    saying = asyncio.create_task(town.say(turn_id="t1"))
    await town.engine.line(0)
    resuming = [asyncio.create_task(resume(town)) for _ in range(3)]
    for _ in range(50):
        await asyncio.sleep(0)
    held.go_on.set()
    check_whole(await saying)
    for task in resuming:
        assert await task == saying.result()


async def test_turns_of_a_broken_scene_are_taken_up_one_by_one(start_town: StartTown) -> None:
    town = await start_town(resume_grace_s=LONG_S)
    hold = asyncio.Event()
    town.engine.script += [Reply("Steel first.", hold=hold), Reply("Leaves first.", hold=hold)]
    scene = Scene(town)
    await scene.say("t1", "smith")
    await scene.say("t2", "elf")
    while not (scene.events["t1"] and scene.events["t2"]):
        await scene.read()
    scene.call.cancel()
    await asyncio.sleep(0.05)
    hold.set()
    for turn_id in ("t1", "t2"):
        before = scene.events[turn_id]
        check_whole(
            before + await resume(town, turn_id, len(before)), (before + await resume(town, turn_id))[-1].finished.text
        )
    said = {spoken(await resume(town, turn_id)) for turn_id in ("t1", "t2")}
    assert said == {"Steel first.", "Leaves first."}


async def test_a_resumed_stream_may_break_and_be_taken_up_again(start_town: StartTown) -> None:
    town = await start_town(resume_grace_s=LONG_S)
    held = Held(town, after=5)
    before = await broken_say(town, "Nine")
    call = town.dialogue.Resume(ResumeRequest(turn_id="t1"))
    again = [(await soon(call.read())).event for _ in before]
    call.cancel()
    held.go_on.set()
    assert again == before
    check_whole(before + await resume(town, start=len(before)))


# ── who nobody listens to ────────────────────────────────────────────────────────────────────────────────────


async def test_a_turn_nobody_takes_up_is_cancelled_after_the_grace(start_town: StartTown) -> None:
    town = await start_town(resume_grace_s=0.05)
    Held(town, after=5)
    before = await broken_say(town, "Nine")
    line = await town.engine.line(0)
    await soon(line.ended.wait())
    assert line.cancelled
    events = before + await resume(town, start=len(before))
    assert events[-1].finished.reason == common_pb2.FINISH_REASON_CANCELLED
    assert events[-1].finished.text == "Nine"


async def test_a_turn_that_is_taken_up_outlives_the_grace(start_town: StartTown) -> None:
    town = await start_town(resume_grace_s=0.2)
    held = Held(town, after=5)
    before = await broken_say(town, "Nine")
    resuming = asyncio.create_task(resume(town, start=len(before)))
    await asyncio.sleep(0.5)
    held.go_on.set()
    check_whole(before + await resuming)


async def test_cancelling_ends_a_turn_at_once_though_nobody_listens(start_town: StartTown) -> None:
    town = await start_town(resume_grace_s=LONG_S)
    Held(town, after=5)
    await broken_say(town, "Nine")
    assert (await town.dialogue.CancelTurn(CancelTurnRequest(turn_id="t1"))).cancelled
    await soon((await town.engine.line(0)).ended.wait())


async def test_the_next_line_of_the_same_persona_does_not_wait_for_one_nobody_hears(start_town: StartTown) -> None:
    town = await start_town(resume_grace_s=LONG_S)
    session = await town.open("smith", "elf")
    Held(town, after=5)
    await broken_say(town, "Nine", session_id=session)
    await soon(town.say(session_id=session, persona_id="elf"))
    assert not (await town.engine.line(0)).ended.is_set()  # another persona's line takes nothing from it
    assert spoken(await soon(town.say("Next.", session_id=session))) == "Aye."
    assert (await town.engine.line(0)).cancelled


async def test_a_full_daemon_takes_the_place_of_a_line_nobody_hears(start_town: StartTown) -> None:
    town = await start_town(resume_grace_s=LONG_S, max_queued_turns=1)
    Held(town, after=5)
    await broken_say(town, "Nine")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await town.say()
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await soon((await town.engine.line(0)).ended.wait())
    assert spoken(await town.say()) == "Aye."


async def test_a_stopping_daemon_does_not_wait_for_the_grace(start_town: StartTown) -> None:
    town = await start_town(resume_grace_s=LONG_S)
    Held(town, after=5)
    await broken_say(town, "Nine")
    await soon(town.daemon.stop())
    assert not town.engine.running


@pytest.mark.parametrize(("taken_up", "kept"), [(False, "Nine"), (True, LINE)])
async def test_only_what_a_stream_carried_is_remembered(start_town: StartTown, taken_up: bool, kept: str) -> None:
    town = await start_town(resume_grace_s=LONG_S)
    session = await town.open("smith")
    held = Held(town, after=5)
    before = await broken_say(town, "Nine", session_id=session)
    held.go_on.set()
    while town.daemon.runner.registry.running:
        await asyncio.sleep(0)
    if taken_up:
        await resume(town, start=len(before))
    await town.say("Next.", session_id=session)
    assert f"assistant\n{kept}<|im_end|>" in (await town.engine.line(1)).prompt


async def test_a_report_of_what_was_heard_outweighs_what_a_stream_carries(start_town: StartTown) -> None:
    town = await start_town(resume_grace_s=LONG_S)
    session = await town.open("smith")
    held = Held(town, after=5)
    await broken_say(town, "Nine", session_id=session)
    held.go_on.set()
    while town.daemon.runner.registry.running:
        await asyncio.sleep(0)
    report = ReportHeardRequest(turn_id="t1", heard_characters=10)
    assert (await town.dialogue.ReportHeard(report)).kept_text == "Nine marks"
    await resume(town)
    (past,) = town.daemon.sessions.get(session).history
    assert past.exchange.reply == "Nine marks"


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_failed_turn_ends_with_the_status_it_failed_with(town: Town) -> None:
    town.engine.script.append(Reply("Nine", error=unavailable(), fail_after=4))
    with pytest.raises(grpc.aio.AioRpcError):
        await town.say(turn_id="t1")
    events = len(town.daemon.runner.registry.record_of("t1"))
    for start in range(events + 1):
        error = await refused(town, start=start)
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert error.details() == "the engine is gone"


async def test_a_turn_that_fails_while_it_is_followed_ends_the_stream_with_its_status(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script.append(Reply("Nine", hold=hold, hold_after=2))
    saying = asyncio.create_task(town.say(turn_id="t1"))
    await town.engine.line(0)
    call = town.dialogue.Resume(ResumeRequest(turn_id="t1"))
    assert (await soon(call.read())).event.HasField("started")
    town.engine.die()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        while await soon(call.read()) is not EOF:
            pass
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.aio.AioRpcError):
        await saying


async def test_events_that_cannot_come_are_refused(town: Town) -> None:
    town.engine.script.append(Reply("Nine"))
    events = await town.say(turn_id="t1")
    error = await refused(town, start=len(events) + 1)
    assert (error.code(), fault_of(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "from_sequence")
    error = await refused(town, start=2**64 - 1)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (await refused(town, "nobody")).code() == grpc.StatusCode.NOT_FOUND


async def test_the_next_event_of_a_running_turn_is_waited_for(town: Town) -> None:
    held = Held(town, after=0)
    saying = asyncio.create_task(town.say(turn_id="t1"))
    await town.engine.line(0)
    while len(next(iter(town.daemon.runner.registry.running)).record) != 1:
        await asyncio.sleep(0)
    resuming = asyncio.create_task(resume(town, start=1))
    assert (await refused(town, start=2)).code() == grpc.StatusCode.INVALID_ARGUMENT
    held.go_on.set()
    assert await resuming == (await saying)[1:]


async def test_a_refused_turn_leaves_nothing_and_its_id_free(start_town: StartTown) -> None:
    hold = asyncio.Event()
    town = await start_town(ScriptedEngine([Reply(hold=hold)]), max_queued_turns=1)
    first = asyncio.create_task(town.say())
    await town.engine.line(0)
    with pytest.raises(grpc.aio.AioRpcError):
        await town.say(turn_id="t1")
    assert (await refused(town)).code() == grpc.StatusCode.NOT_FOUND
    hold.set()
    await first
    assert spoken(await town.say(turn_id="t1")) == "Aye."


async def test_old_turns_are_forgotten_and_freed(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    await town.say(turn_id="forgotten")
    monkeypatch.setattr(turn_registry, "KEPT_S", 0.0)
    town.daemon.runner.registry.forget_old()
    assert (await refused(town, "forgotten")).code() == grpc.StatusCode.NOT_FOUND
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, TurnRecord) and thing.turn_id == "forgotten"]


async def test_turns_with_too_many_events_push_older_ones_out(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_registry, "KEPT_EVENTS", 8)
    for number in range(3):
        await town.say(turn_id=f"t{number}")
    assert (await refused(town, "t0")).code() == grpc.StatusCode.NOT_FOUND
    assert spoken(await resume(town, "t2")) == "Aye."
