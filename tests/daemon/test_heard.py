"""ReportHeard: a persona remembers no more of its line than the player heard."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tests.daemon.conftest import Town, soon, spoken
from tests.daemon.test_say import fault_of
from tests.fakes import Reply
from townsfolk.v1 import common_pb2
from townsfolk.v1.dialogue_pb2 import ReportHeardRequest
from townsfolk.v1.session_pb2 import CloseRequest


async def heard(town: Town, turn_id: str = "t1", **how: Any) -> str:
    """What is kept of the line."""
    answer = await soon(town.dialogue.ReportHeard(ReportHeardRequest(turn_id=turn_id, **how)))
    return str(answer.kept_text)


async def refused(town: Town, turn_id: str = "t1", **how: Any) -> tuple[str, str]:
    """Status and field that a report is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await heard(town, turn_id, **how)
    return raised.value.code().name, fault_of(raised.value)


async def spoken_turn(town: Town, line: str, turn_id: str = "t1") -> str:
    """A session in which the smith has said ``line``."""
    session = await town.open("smith")
    town.engine.script.append(Reply(line))
    await town.say("Well?", session_id=session, turn_id=turn_id)
    return session


async def next_prompt(town: Town, session: str) -> str:
    asked = len(town.engine.lines)
    await town.say("And now?", session_id=session)
    return (await town.engine.line(asked)).prompt


async def test_no_more_is_remembered_than_was_heard(town: Town) -> None:
    session = await spoken_turn(town, "Nine marks and a horse.")
    assert await heard(town, heard_characters=10) == "Nine marks"
    assert "Well?<|im_end|>\n<|im_start|>assistant\nNine marks<|im_end|>" in await next_prompt(town, session)


@pytest.mark.parametrize(
    ("characters", "kept"), [(1, "é"), (2, "é🍺"), (3, "é🍺"), (4, "é🍺 ü"), (5, "é🍺 ü"), (99, "é🍺 ü")]
)
async def test_characters_are_code_points(town: Town, characters: int, kept: str) -> None:
    await spoken_turn(town, "é🍺 ü")
    assert await heard(town, heard_characters=characters) == kept


async def test_a_heard_text_must_be_a_beginning_of_the_line(town: Town) -> None:
    session = await spoken_turn(town, "Nine marks and a horse.")
    assert await refused(town, heard_text="Ten") == ("INVALID_ARGUMENT", "heard_text")
    assert await refused(town, heard_text="Nine marks and a horse. Or two.") == ("INVALID_ARGUMENT", "heard_text")
    assert "Nine marks and a horse.<|im_end|>" in await next_prompt(town, session)
    assert await heard(town, heard_text="Nine ") == "Nine"


async def test_a_line_of_which_nothing_was_heard_was_never_spoken(town: Town) -> None:
    session = await spoken_turn(town, "Nine marks.")
    for how in ({"heard_characters": 0}, {"heard_text": ""}):
        assert await heard(town, **how) == ""
        assert "Well?" not in await next_prompt(town, session)


async def test_a_later_report_replaces_the_earlier_one(town: Town) -> None:
    session = await spoken_turn(town, " Nine marks and a horse.")
    await town.say("And then?", session_id=session)
    for characters, kept in ((4, "Nine"), (0, ""), (10, "Nine marks")):
        assert await heard(town, heard_characters=characters) == kept
    prompt = await next_prompt(town, session)
    assert prompt.index("assistant\nNine marks<|im_end|>") < prompt.index("And then?")
    assert await heard(town, heard_characters=1000) == "Nine marks and a horse."
    assert "assistant\n Nine marks and a horse.<|im_end|>" in await next_prompt(town, session)  # its tokens, too


async def test_a_running_line_is_cancelled_and_kept_as_far_as_it_was_heard(town: Town) -> None:
    session = await town.open("smith")
    town.engine.script.append(Reply("Nine marks and a horse.", hold=asyncio.Event(), hold_after=15))
    saying = asyncio.create_task(town.say("Well?", session_id=session, turn_id="t1"))
    line = await town.engine.line(0)
    while "Nine marks and" not in [turn.spoken for turn in town.daemon.runner.registry.running]:
        await asyncio.sleep(0)
    assert await refused(town, heard_text="Ten") == ("INVALID_ARGUMENT", "heard_text")
    assert not line.ended.is_set()  # a report that cannot be right cancels nothing
    assert await heard(town, heard_text="Nine marks") == "Nine marks"
    events = await saying
    assert events[-1].finished.reason == common_pb2.FINISH_REASON_CANCELLED
    assert spoken(events) == "Nine marks and"
    assert line.cancelled
    assert "assistant\nNine marks<|im_end|>" in await next_prompt(town, session)


async def test_a_line_that_still_waits_is_cancelled_and_keeps_nothing(town: Town) -> None:
    session = await town.open("smith")
    hold = asyncio.Event()
    town.engine.script.append(Reply(hold=hold))
    first = asyncio.create_task(town.say("One?", session_id=session, turn_id="t1"))
    await town.engine.line(0)
    second = asyncio.create_task(town.say("Two?", session_id=session, turn_id="t2"))
    while town.daemon.runner.registry.get("t2") is None:
        await asyncio.sleep(0)
    assert await heard(town, "t2", heard_characters=5) == ""
    hold.set()
    await asyncio.gather(first, second)
    assert len(town.engine.lines) == 1


async def test_a_report_that_cannot_be_right_is_refused(town: Town) -> None:
    await town.say(turn_id="alone")
    assert await refused(town, "alone", heard_characters=1) == ("INVALID_ARGUMENT", "turn_id")
    assert await refused(town, "nobody", heard_characters=1) == ("NOT_FOUND", "turn_id")
    session = await spoken_turn(town, "Aye.")
    assert await refused(town) == ("INVALID_ARGUMENT", "heard")
    await town.sessions.Close(CloseRequest(session_id=session))
    assert await refused(town, heard_characters=1) == ("NOT_FOUND", "session_id")
