"""What the player really heard: a session remembers no more of a line than that."""

from __future__ import annotations

import asyncio

from townsfolk.dialogue.session import SessionStore
from townsfolk.dialogue.turn_record import TurnRecord
from townsfolk.dialogue.turn_registry import TurnRegistry
from townsfolk.errors import InvalidArgument


async def report_heard(registry: TurnRegistry, sessions: SessionStore, turn_id: str, heard: int | str) -> str:
    """Remember of a turn's line only what was heard: so many characters, or this beginning of it. Returns what is kept.

    A turn that still runs is cancelled first. Raises ``NotFound`` for a turn or session that is not known,
    ``InvalidArgument`` for a one-off line and for a text that the line does not begin with; then nothing changes.
    """
    record = registry.record_of(turn_id)
    if not record.session_id:
        raise InvalidArgument(
            f"turn {turn_id} is a one-off line, which nobody remembers; only turns of a session are reported on",
            field="turn_id",
        )
    session = sessions.get(record.session_id)
    turn = registry.get(turn_id)
    if isinstance(heard, str):
        line = turn.spoken if turn is not None else record.said.exchange.reply if record.said is not None else ""
        if not line.startswith(heard):
            raise InvalidArgument(
                f"the line does not begin with heard_text; it begins with {line[:80]!r}", field="heard_text"
            )
        heard = len(heard)
    if turn is not None and turn.task is not None:
        turn.cancel()
        await asyncio.wait([turn.task])
    record.unheard = False  # what the player heard is known now, whatever a stream carries later
    if record.said is None:
        return ""
    kept = record.said.as_heard(heard)
    return kept.exchange.reply if session.revise(kept) else ""


def hear_all(record: TurnRecord, sessions: SessionStore) -> None:
    """A stream has taken up a line whose rest nobody had heard: remember all of it."""
    if record.unheard and record.said is not None and record.session_id in sessions:
        sessions.get(record.session_id).revise(record.said)
    record.unheard = False
