"""Sessions over the wire: what one turn leaves for the next."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from tests.daemon.conftest import StartTown, Town, soon
from tests.fakes import Reply, write_persona
from townsfolk.v1.dialogue_pb2 import CancelTurnRequest
from townsfolk.v1.session_pb2 import CloseRequest, OpenRequest


async def test_the_history_reaches_the_next_prompt(town: Town) -> None:
    session = await town.open("smith")
    town.engine.script.append(Reply("Nine marks."))
    await town.say("How much?", session_id=session, persona_id="", situation="at the forge")
    await town.say("And this?", session_id=session)
    prompt = (await town.engine.line(1)).prompt
    assert "(at the forge) How much?<|im_end|>\n<|im_start|>assistant\nNine marks.<|im_end|>" in prompt
    assert prompt.index("Nine marks.") < prompt.index("And this?")


async def test_one_off_lines_are_not_remembered(town: Town) -> None:
    await town.say("First.")
    await town.say("Second.")
    assert "First." not in (await town.engine.line(1)).prompt


async def test_personas_of_a_session_do_not_hear_each_other(town: Town) -> None:
    session = await town.open("smith", "elf")
    await town.say("A secret.", session_id=session, persona_id="smith")
    await town.say("Hello.", session_id=session, persona_id="elf")
    assert "A secret." not in (await town.engine.line(1)).prompt


async def test_the_player_name_stands_in_the_prompt(town: Town) -> None:
    session = await town.open("smith", player_name="Ada")
    await town.say(session_id=session)
    await town.say()
    assert "You are speaking with Ada." in (await town.engine.line(0)).prompt
    assert "You are speaking" not in (await town.engine.line(1)).prompt


async def test_a_second_line_waits_for_the_first_and_hears_it(town: Town) -> None:
    session = await town.open("smith")
    hold = asyncio.Event()
    town.engine.script.append(Reply("One.", hold=hold))
    first = asyncio.create_task(town.say("First?", session_id=session))
    await town.engine.line(0)
    second = asyncio.create_task(town.say("Second?", session_id=session))
    third = asyncio.create_task(town.say(persona_id="elf"))  # somebody else does not wait
    await town.engine.line(1)
    await third
    assert len(town.engine.lines) == 2
    hold.set()
    await asyncio.gather(first, second)
    assert "First?<|im_end|>\n<|im_start|>assistant\nOne.<|im_end|>" in (await town.engine.line(2)).prompt


async def test_personas_of_one_session_speak_at_once(town: Town) -> None:
    session = await town.open("smith", "elf")
    hold = asyncio.Event()
    town.engine.script += [Reply(hold=hold), Reply(hold=hold)]
    both = [asyncio.create_task(town.say(session_id=session, persona_id=p)) for p in ("smith", "elf")]
    await town.engine.line(1)
    hold.set()
    await asyncio.gather(*both)


async def test_a_waiting_line_obeys_its_deadline(town: Town) -> None:
    session = await town.open("smith")
    hold = asyncio.Event()
    town.engine.script.append(Reply(hold=hold))
    first = asyncio.create_task(town.say(session_id=session))
    await town.engine.line(0)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await town.say(session_id=session, deadline_s=0.05)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    hold.set()
    await first
    assert len(town.engine.lines) == 1


@pytest.mark.parametrize(("hold_after", "remembered"), [(0, False), (4, True)])
async def test_a_cancelled_line_is_remembered_as_far_as_it_was_heard(
    town: Town, hold_after: int, remembered: bool
) -> None:
    session = await town.open("smith")
    town.engine.script.append(Reply("Aye, never.", hold=asyncio.Event(), hold_after=hold_after))
    saying = asyncio.create_task(town.say("Well?", session_id=session, turn_id="t1"))
    while not any(turn.spoken == "Aye, never."[:hold_after] for turn in town.daemon.runner.registry.running):
        await asyncio.sleep(0)
    await town.engine.line(0)
    await town.dialogue.CancelTurn(CancelTurnRequest(turn_id="t1"))
    await saying
    history = town.daemon.sessions.get(session).history
    assert [(p.exchange.reply, p.complete) for p in history] == ([("Aye,", False)] if remembered else [])
    await town.say("And now?", session_id=session)
    assert ("Well?" in (await town.engine.line(1)).prompt) is remembered


async def test_replies_are_kept_as_the_tokens_that_were_sampled(town: Town) -> None:
    session = await town.open("smith")
    town.engine.script.append(Reply(" Aye."))
    await town.say(session_id=session)
    await town.say(session_id=session)
    assert "assistant\n Aye.<|im_end|>" in (await town.engine.line(1)).prompt


async def test_unknown_personas_cannot_open_a_session(town: Town) -> None:
    for persona_id, code in (("nobody", "NOT_FOUND"), ("../smith", "INVALID_ARGUMENT")):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await town.open("smith", persona_id)
        assert raised.value.code().name == code
    assert len(town.daemon.sessions) == 0


async def test_a_broken_persona_cannot_open_a_session(town: Town) -> None:
    (write_persona(town.daemon.library.folders[0], "troll") / "persona.toml").write_text("[")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await town.open("troll")
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_too_many_sessions_are_refused(start_town: StartTown) -> None:
    town = await start_town(max_sessions=1)
    await town.open("smith", session_id="mine")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await town.open("smith")
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await town.sessions.Close(CloseRequest(session_id="mine"))
    await town.open("smith")


async def test_a_closed_session_is_not_found(town: Town) -> None:
    session = await town.open("smith")
    await town.sessions.Close(CloseRequest(session_id=session))
    for call in (
        town.sessions.Close(CloseRequest(session_id=session)),
        town.say(session_id=session),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await soon(call)
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_session_id_that_is_open_is_refused(town: Town) -> None:
    await town.open("smith", session_id="mine")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await town.sessions.Open(OpenRequest(session_id="mine", persona_ids=["smith"]))
    assert raised.value.code() == grpc.StatusCode.ALREADY_EXISTS
