"""How many decode steps one batch saves."""

from __future__ import annotations

from townsfolk.cli.shared_steps import Measured, Steps, measured_in_words, steps_in_words, steps_of
from townsfolk.v1.common_pb2 import TurnStats


def line(first: int, last: int) -> TurnStats:
    return TurnStats(first_step=first, last_step=last)


def test_steps_that_two_lines_take_part_in_are_shared() -> None:
    assert steps_of([line(10, 19), line(12, 25)]) == Steps(together=16, shared=8, in_turn=24)


def test_a_step_of_three_lines_counts_once() -> None:
    assert steps_of([line(1, 4), line(1, 4), line(4, 5)]) == Steps(together=5, shared=4, in_turn=10)


def test_steps_between_lines_that_did_not_meet_count_for_neither() -> None:
    assert steps_of([line(1, 2), line(9, 9)]) == Steps(together=3, shared=0, in_turn=3)


def test_an_engine_that_counts_no_steps_claims_no_savings() -> None:
    assert steps_of([line(0, 0), line(0, 0)]) == Steps()
    assert steps_in_words(Steps()) == "unknown: the engine counts none"


def test_savings_are_told_in_words() -> None:
    assert steps_in_words(Steps(40, 30, 70)) == "40 steps instead of 70; 75% served two or more voices"
    words = measured_in_words(Measured(6.0, 2.0, ("elf",)))
    assert words == "2.0 s together, 6.0 s one after another: 3.0 times as fast; other words the second time: elf"
