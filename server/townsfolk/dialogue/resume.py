"""A turn's events once more: from a given one on, and live where it still runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from townsfolk.dialogue.events import TurnEvent, TurnFailed
from townsfolk.dialogue.heard import hear_all
from townsfolk.dialogue.running_turn import Turn
from townsfolk.dialogue.session import SessionStore
from townsfolk.dialogue.turn_registry import TurnRegistry
from townsfolk.errors import InvalidArgument


async def resumed_events(
    registry: TurnRegistry, sessions: SessionStore, turn_id: str, from_sequence: int, grace_s: float
) -> AsyncGenerator[TurnEvent, None]:
    """The events of a turn from number ``from_sequence`` on, exactly as first sent, up to its last one.

    A turn that runs counts as listened to meanwhile; without any stream it is cancelled after ``grace_s`` seconds.
    Raises ``NotFound`` for a turn that is not known, ``InvalidArgument`` for a number beyond the next event's, and at
    the end what the turn failed with.
    """
    record = registry.record_of(turn_id)
    if from_sequence > len(record):
        raise InvalidArgument(
            f"turn {turn_id} has {len(record)} events so far; from_sequence can be at most that, not {from_sequence}",
            field="from_sequence",
        )
    turn = registry.get(turn_id)
    if turn is None:
        hear_all(record, sessions)
    with _listening(turn, grace_s):
        number = from_sequence
        while True:
            if turn is not None:
                turn.outbox.settle(turn_id)
            for event in record.events(number):
                if isinstance(event.what, TurnFailed):
                    raise event.what.error
                yield event
                number += 1
            if record.failure is not None:  # asked for what would come after it
                raise record.failure
            if record.ended and number >= len(record):
                return
            await record.wait_for(number)


@contextmanager
def _listening(turn: Turn | None, grace_s: float) -> Iterator[None]:
    if turn is None:
        yield
        return
    turn.join()
    try:
        yield
    finally:
        turn.leave(grace_s)
