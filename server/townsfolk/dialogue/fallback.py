"""Authored lines for when the model's own cannot come: which failures call for one, and which line it is.

Decisions:

- A fallback line stands alone. Once a word of the model's line was handed out there is none: a player who hears half an
  answer and then an excuse hears two answers.
- What is wrong with a request, a persona or a client's reading stays an error: a line in its place would hide it.
- Neither the line nor the player's words are remembered. The model did not say the one and has not heard the other, so
  the player can simply ask again.
- No persona speaks the same fallback line twice in a row: not in one session, and not in one-off lines. Where the lines
  for a reason are used up, one for another reason stands in.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from townsfolk.dialogue.events import FallbackReason
from townsfolk.dialogue.outbox import SlowReader
from townsfolk.dialogue.session import FALLBACK_MARK_BYTES, Session
from townsfolk.errors import DeadlineExceeded, InternalError, ResourceExhausted, TownsfolkError, Unavailable
from townsfolk.personas.schema import Fallback

ONE_OFF_PERSONAS = 1024  # whose last one-off fallback line is known


def reason_of(failure: TownsfolkError) -> FallbackReason | None:
    """Why a fallback line is due after this failure; ``None`` if the failure is to be told."""
    match failure:
        case SlowReader():
            return None
        case ResourceExhausted():
            return FallbackReason.BUSY
        case DeadlineExceeded():
            return FallbackReason.TIMEOUT
        case Unavailable() | InternalError():
            return FallbackReason.ERROR
    return None


class FallbackLines:
    """Chooses lines and knows which came last."""

    def __init__(self) -> None:
        self._one_off: OrderedDict[str, bytes] = OrderedDict()

    def choose(
        self, lines: Sequence[Fallback], reason: FallbackReason, persona_id: str, session: Session | None
    ) -> str | None:
        """The line to speak now; ``None`` where the persona has none but the one it spoke last."""
        known: dict[str, bytes] = self._one_off if session is None else session.last_fallback
        line = next_line(lines, reason, known.get(persona_id))
        if line is None:
            return None
        known[persona_id] = mark(line)
        if session is None:
            self._one_off.move_to_end(persona_id)
            while len(self._one_off) > ONE_OFF_PERSONAS:
                self._one_off.popitem(last=False)
        return line


def next_line(lines: Sequence[Fallback], reason: FallbackReason, last: bytes | None) -> str | None:
    """The next line for ``reason`` in the persona's order after the one marked ``last``, so that all take turns."""
    marks = [mark(fallback.line) for fallback in lines]
    start = marks.index(last) + 1 if last in marks else 0
    order = [*range(start, len(lines)), *range(start)]
    candidates = [lines[at] for at in order if marks[at] != last]
    fitting = [fallback for fallback in candidates if fallback.when == reason]
    return next((fallback.line for fallback in [*fitting, *candidates]), None)


def mark(line: str) -> bytes:
    """Stands for a line where the line itself would be too long to keep."""
    return hashlib.blake2b(line.encode(), digest_size=FALLBACK_MARK_BYTES).digest()
