"""What waits for a stream's reader: in order, bounded, and the fewer messages the slower it reads."""

from __future__ import annotations

import asyncio

import pytest

from townsfolk.dialogue.events import FinishReason, SpeechDelta, TurnEvent, TurnFinished, TurnStarted, TurnStats
from townsfolk.dialogue.outbox import MAX_TAKEN_EVENTS, Outbox
from townsfolk.engine.messages import TokenLikelihood
from townsfolk.errors import ResourceExhausted, Unavailable


def delta(turn_id: str, sequence: int, text: str, sampled_unix_ns: int = 0) -> TurnEvent:
    return TurnEvent(turn_id, "", "smith", sequence, SpeechDelta(text, 1, sampled_unix_ns))


def started(turn_id: str) -> TurnEvent:
    return TurnEvent(turn_id, "", "smith", 0, TurnStarted("", 1, 0))


def finished(turn_id: str, sequence: int) -> TurnEvent:
    return TurnEvent(turn_id, "", "smith", sequence, TurnFinished(FinishReason.STOP, "", TurnStats()))


async def test_events_of_all_turns_are_taken_at_once_in_the_order_they_came() -> None:
    outbox = Outbox()
    events = [started("a"), started("b"), delta("a", 1, "x"), delta("b", 1, "y"), finished("a", 2)]
    assert all(outbox.put(event) for event in events)
    assert len(outbox) == 5
    assert await outbox.take() == events
    assert len(outbox) == 0


async def test_deltas_that_wait_become_one_and_keep_their_place() -> None:
    outbox = Outbox()
    assert outbox.put(delta("a", 1, "Steel", 10))
    assert outbox.put(delta("b", 1, "Leaves", 11))
    assert not outbox.put(delta("a", 2, " first", 12))
    assert outbox.put(finished("a", 2))
    events = await outbox.take()
    assert [event.turn_id for event in events] == ["a", "b", "a"]
    assert events[0].what == SpeechDelta("Steel first", 2, 12)
    assert events[1].what == SpeechDelta("Leaves", 1, 11)


async def test_deltas_that_become_one_keep_the_likelihoods_of_all_their_tokens() -> None:
    outbox = Outbox()
    likelihoods = [TokenLikelihood(token_id, -1.0, [], []) for token_id in (3, 4)]
    for sequence, likelihood in enumerate(likelihoods):
        outbox.put(TurnEvent("a", "", "smith", sequence, SpeechDelta("x", 1, 10, (likelihood,))))
    (event,) = await outbox.take()
    assert event.what == SpeechDelta("xx", 2, 10, tuple(likelihoods))


async def test_a_delta_that_was_taken_no_longer_grows() -> None:
    outbox = Outbox()
    outbox.put(delta("a", 1, "Steel"))
    (first,) = await outbox.take()
    assert outbox.put(delta("a", 2, " first"))
    assert first.what == SpeechDelta("Steel", 1)


async def test_nothing_is_said_before_what_happened_in_between() -> None:
    outbox = Outbox()
    events = [delta("a", 0, "x"), started("a"), delta("a", 2, "y")]
    assert all(outbox.put(event) for event in events)
    assert await outbox.take() == events


async def test_much_that_waits_is_taken_in_parts() -> None:
    outbox = Outbox()
    events = [delta(f"t{number}", 0, "x") for number in range(MAX_TAKEN_EVENTS + 5)]
    for event in events:
        outbox.put(event)
    assert await outbox.take() == events[:MAX_TAKEN_EVENTS]
    assert outbox.put(delta("t0", 1, "y"))
    assert (await outbox.take())[:5] == events[MAX_TAKEN_EVENTS:]


async def test_deltas_that_became_one_still_count_against_the_limit() -> None:
    outbox = Outbox(limit=3)
    for sequence in range(3):
        outbox.put(delta("a", sequence, "x"))
    with pytest.raises(ResourceExhausted, match="read faster"):
        outbox.put(delta("a", 3, "x"))
    assert outbox.put(finished("a", 1))
    room = asyncio.create_task(outbox.wait_for_room())
    await asyncio.sleep(0)
    assert not room.done()
    assert len(await outbox.take()) == 2
    await asyncio.wait_for(room, 5)
    assert outbox.put(delta("b", 0, "x"))


async def test_the_reader_is_woken_and_told_the_end() -> None:
    outbox = Outbox()
    reader = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.put(started("a"))
    assert len(await asyncio.wait_for(reader, 5)) == 1
    outbox.put(started("b"))
    outbox.close(Unavailable("over"))
    assert len(await outbox.take()) == 1
    with pytest.raises(Unavailable):
        await outbox.take()
    ended = Outbox()
    ended.close()
    assert await ended.take() == []
