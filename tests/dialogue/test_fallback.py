"""Which fallback line it is: the reason's own, each in turn, never the same twice in a row."""

from __future__ import annotations

from itertools import pairwise

import pytest

from townsfolk.dialogue.events import FallbackReason
from townsfolk.dialogue.fallback import ONE_OFF_PERSONAS, FallbackLines, reason_of
from townsfolk.dialogue.outbox import SlowReader
from townsfolk.dialogue.session import SessionStore
from townsfolk.errors import (
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    TownsfolkError,
    Unavailable,
)
from townsfolk.personas.schema import Fallback

BUSY, TIMEOUT, ERROR = FallbackReason.BUSY, FallbackReason.TIMEOUT, FallbackReason.ERROR
LINES = [
    Fallback(line="busy 1", when="busy"),
    Fallback(line="timeout 1", when="timeout"),
    Fallback(line="busy 2", when="busy"),
    Fallback(line="error 1", when="error"),
]


def choices(reasons: list[FallbackReason], lines: list[Fallback] = LINES) -> list[str | None]:
    fallbacks = FallbackLines()
    return [fallbacks.choose(lines, reason, "smith", None) for reason in reasons]


def test_the_lines_of_a_reason_take_turns() -> None:
    assert choices([BUSY] * 4) == ["busy 1", "busy 2", "busy 1", "busy 2"]
    assert choices([BUSY, ERROR, BUSY, TIMEOUT]) == ["busy 1", "error 1", "busy 1", "timeout 1"]


def test_a_line_for_another_reason_stands_in_where_the_only_one_came_last() -> None:
    said = choices([ERROR] * 6)
    assert said[0::2] == ["error 1"] * 3
    assert all(line is not None and line != "error 1" for line in said[1::2])


def test_a_persona_with_a_single_line_does_not_repeat_it() -> None:
    assert choices([BUSY, BUSY], LINES[:1]) == ["busy 1", None]
    assert choices([ERROR], LINES[:1]) == ["busy 1"]
    assert choices([ERROR], []) == [None]


def test_no_order_of_reasons_makes_a_line_come_twice_in_a_row() -> None:
    for seed in range(3**6):
        reasons = [(BUSY, TIMEOUT, ERROR)[seed // 3**place % 3] for place in range(6)]
        said = choices(reasons)
        assert None not in said
        assert all(one != next_ for one, next_ in pairwise(said))


def test_the_same_words_for_two_reasons_are_the_same_line() -> None:
    lines = [Fallback(line="Hm?", when="busy"), Fallback(line="Hm?", when="error"), Fallback(line="Eh?", when="error")]
    assert choices([BUSY, ERROR, ERROR], lines) == ["Hm?", "Eh?", "Hm?"]


def test_sessions_and_personas_count_for_themselves() -> None:
    fallbacks = FallbackLines()
    store = SessionStore(4, 8)
    one, two = store.open(["smith", "elf"]), store.open(["smith"])
    for persona_id, session in (("smith", one), ("elf", one), ("smith", two), ("smith", None), ("elf", None)):
        assert fallbacks.choose(LINES, BUSY, persona_id, session) == "busy 1"


def test_what_is_known_of_one_off_lines_is_bounded() -> None:
    fallbacks = FallbackLines()
    for number in range(ONE_OFF_PERSONAS + 10):
        fallbacks.choose(LINES, BUSY, f"p{number}", None)
    assert len(fallbacks._one_off) == ONE_OFF_PERSONAS
    assert fallbacks.choose(LINES, BUSY, f"p{ONE_OFF_PERSONAS}", None) == "busy 2"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ResourceExhausted("full"), BUSY),
        (DeadlineExceeded("late"), TIMEOUT),
        (Unavailable("down"), ERROR),
        (InternalError("a bug"), ERROR),
        (SlowReader("the client's own fault"), None),
        (InvalidArgument("too long"), None),
        (NotFound("nobody"), None),
        (FailedPrecondition("another model"), None),
        (Cancelled("gone"), None),
    ],
)
def test_only_time_load_and_a_broken_engine_call_for_a_line(
    failure: TownsfolkError, reason: FallbackReason | None
) -> None:
    assert reason_of(failure) is reason
