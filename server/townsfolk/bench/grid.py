"""Speed of a batch over its size and over the number of different adapters in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from townsfolk.bench.alternating import Variants, alternate
from townsfolk.bench.drive import GREEDY, BatchTime, DrivenEngine, Progress, time_one_by_one, time_together
from townsfolk.bench.figures import median, rounded
from townsfolk.bench.prompts import FreshPrompts
from townsfolk.engine.messages import AdapterRef, SamplingParams
from townsfolk.errors import InternalError, InvalidArgument

DRAWN = SamplingParams(temperature=0.7, top_p=0.9, repetition_penalty=1.05)  # as personas set it


@dataclass(frozen=True)
class GridPlan:
    """What is measured. ``sample``: how many of the lines are spoken one at a time, for comparison."""

    streams: tuple[int, ...] = (1, 8, 16, 32)
    adapters: tuple[int, ...] = (0, 1, 8, 16, 32)
    rank: int = 16
    prompt_tokens: int = 43
    new_tokens: int = 100
    rounds: int = 3
    sample: int = 2

    def __post_init__(self) -> None:
        if not self.cells:
            raise InvalidArgument("every number of adapters is above every number of streams: nothing to measure")

    @property
    def cells(self) -> list[tuple[int, int]]:
        """``(streams, adapters)`` of every cell: no more adapters than streams."""
        return [(s, a) for s in sorted(set(self.streams)) for a in sorted(set(self.adapters)) if a <= s]

    @property
    def most_streams(self) -> int:
        return max(streams for streams, _ in self.cells)

    @property
    def most_adapters(self) -> int:
        return max(adapters for _, adapters in self.cells)

    @property
    def context(self) -> int:
        """Tokens of a prompt and its reply."""
        return self.prompt_tokens + self.new_tokens


class Grid:
    """Measures the cells of a plan.

    Args:
        plan: what to measure.
        town: the engine whose adapters are loaded as a cell wants them.
        plain: an engine in which no adapter is ever loaded; may be ``town`` itself where there is room for one only,
            which leaves out the comparison of the two.
        adapters: as many different ones as the plan's largest number.
    """

    def __init__(self, plan: GridPlan, town: DrivenEngine, plain: DrivenEngine, adapters: Sequence[AdapterRef]) -> None:
        self._plan, self._town, self._plain, self._adapters = plan, town, plain, adapters
        self._prompts = FreshPrompts(town.engine.spec.vocab_size)

    def rows(self, progress: Progress) -> list[dict[str, Any]]:
        """One row for each cell; speeds are medians of the rounds, in tokens a second."""
        cells = self._plan.cells
        rows = []
        for done, (streams, adapters) in enumerate(cells):
            progress(done, len(cells), f"{streams} streams, {adapters} adapters")
            rows.append(self._row(streams, adapters))
        progress(len(cells), len(cells), "done")
        return rows

    def _row(self, streams: int, adapters: int) -> dict[str, Any]:
        plan = self._plan
        # a batch of base lines is measured beside every adapter there is, none of them used
        self._town.keep_resident(self._adapters[:adapters] if adapters else self._adapters)
        runs = alternate(self._variants(streams, adapters), plan.rounds, plan.new_tokens)
        row = {
            "streams": streams,
            "adapters": adapters,
            "rank": plan.rank,
            "prompt_tokens": plan.prompt_tokens,
            "new_tokens": plan.new_tokens,
            "tokens_per_s": median(runs["mixed"] if adapters else runs["base_only"]),
            "drawn_tokens_per_s": median(runs["drawn"]),
            "base_only_tokens_per_s": median(runs["base_only"]),
            "one_at_a_time_tokens_per_s": median(runs["one_at_a_time"]),
            "one_at_a_time_streams": min(plan.sample, streams),
        }
        if "unused_lora" in runs:
            row["unused_lora_tokens_per_s"] = median(runs["unused_lora"])
        return row | {"runs": {name: [rounded(speed) for speed in speeds] for name, speeds in runs.items()}}

    def _variants(self, streams: int, adapters: int) -> Variants:
        nobody: list[AdapterRef | None] = [None] * streams
        cast = [self._adapters[i % adapters] for i in range(streams)] if adapters else nobody
        sample = cast[: self._plan.sample]
        speaking = self._town if adapters else self._plain
        variants: Variants = {"base_only": lambda tokens: self._batch(self._plain, nobody, tokens)}
        if adapters:
            variants["mixed"] = lambda tokens: self._batch(self._town, cast, tokens)
        elif self._adapters and self._town is not self._plain:
            variants["unused_lora"] = lambda tokens: self._batch(self._town, nobody, tokens)
        variants["drawn"] = lambda tokens: self._batch(speaking, cast, tokens, DRAWN)
        variants["one_at_a_time"] = lambda tokens: time_one_by_one(speaking, self._take(len(sample)), sample, tokens)
        return variants

    def _batch(
        self,
        driven: DrivenEngine,
        adapters: Sequence[AdapterRef | None],
        tokens: int,
        sampling: SamplingParams = GREEDY,
    ) -> BatchTime:
        batch = time_together(driven, self._take(len(adapters)), adapters, tokens, sampling=sampling)
        if batch.tokens != len(adapters) * tokens:
            raise InternalError(f"{batch.tokens} tokens came from {len(adapters)} lines of {tokens} tokens each")
        return batch

    def _take(self, count: int) -> list[list[int]]:
        return self._prompts.take(count, self._plan.prompt_tokens)
