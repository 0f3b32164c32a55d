"""What it saved that several voices were decoded in one batch: steps they shared, and time where it was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from townsfolk.wording import counted, in_seconds

if TYPE_CHECKING:
    from townsfolk.v1.common_pb2 import TurnStats


@dataclass(frozen=True)
class Steps:
    """Decode steps that some lines took.

    Attributes:
        together: steps that served at least one of the lines.
        shared: of these, steps that served two or more.
        in_turn: steps of each line by itself, added up: what one line after another would have taken.
    """

    together: int = 0
    shared: int = 0
    in_turn: int = 0

    def __add__(self, other: Steps) -> Steps:
        return Steps(self.together + other.together, self.shared + other.shared, self.in_turn + other.in_turn)


@dataclass(frozen=True)
class Measured:
    """The same lines one after another and in one batch, both with their prompts read already. Times in seconds."""

    one_after_another_s: float
    together_s: float
    differing: tuple[str, ...] = ()  # labels of lines that did not say the same both times

    @property
    def times_as_fast(self) -> float:
        return self.one_after_another_s / self.together_s if self.together_s else 0.0


def steps_of(lines: Iterable[TurnStats]) -> Steps:
    """The steps of lines that ran at the same time. A line takes part in every step from its first to its last."""
    borders: list[tuple[int, int]] = []
    in_turn = 0
    for stats in lines:
        if stats.last_step:
            in_turn += stats.last_step - stats.first_step + 1
            borders += [(stats.first_step, 1), (stats.last_step + 1, -1)]
    together = shared = running = before = 0
    for step, change in sorted(borders):
        together += (step - before) * (running >= 1)
        shared += (step - before) * (running >= 2)
        running, before = running + change, step
    return Steps(together, shared, in_turn)


def steps_in_words(steps: Steps) -> str:
    if not steps.together:
        return "unknown: the engine counts none"
    share = steps.shared / steps.together
    return f"{counted(steps.together, 'step')} instead of {steps.in_turn:,}; {share:.0%} served two or more voices"


def measured_in_words(measured: Measured) -> str:
    times = f"{in_seconds(measured.together_s)} together, {in_seconds(measured.one_after_another_s)} one after another"
    words = f"{times}: {measured.times_as_fast:.1f} times as fast"
    if measured.differing:
        words += f"; other words the second time: {', '.join(measured.differing)}"
    return words


def total(steps: Sequence[Steps]) -> Steps:
    return sum(steps, Steps())
