"""`bench scale`: more personas than slots, and what that costs those who wait and those who speak."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from townsfolk.bench.arrivals import measure_arrivals
from townsfolk.bench.drive import DrivenEngine, EngineOptions, Progress, TimedLine, adapter_refs
from townsfolk.bench.figures import median, percentile, report_head, rounded
from townsfolk.bench.many_personas import measure_memory
from townsfolk.bench.prompts import FreshPrompts
from townsfolk.bench.workload import write_adapters
from townsfolk.engine.messages import AdapterRef
from townsfolk.errors import InvalidArgument


@dataclass(frozen=True)
class ScalePlan:
    """How many of everything.

    ``requests``: lines asked in each round of traffic. ``gap_tokens``: length of the lines whose gaps are measured.
    ``disk_personas``: personas on disk for the measurement of memory.
    """

    personas: int = 64
    slots: int = 8
    streams: int = 8
    rank: int = 16
    prompt_tokens: int = 43
    new_tokens: int = 32
    requests: int = 128
    rounds: int = 2
    gap_tokens: int = 100
    disk_personas: int = 1000

    def __post_init__(self) -> None:
        if self.slots < 2 or self.personas <= self.slots:
            raise InvalidArgument("bench scale needs two slots or more, and more personas than slots")
        if self.requests < self.streams:
            raise InvalidArgument(f"{self.requests} requests do not fill {self.streams} streams; raise --requests")

    @property
    def context(self) -> int:
        return self.prompt_tokens + max(self.new_tokens, self.gap_tokens)


def bench_scale(options: EngineOptions, plan: ScalePlan, progress: Progress) -> dict[str, Any]:
    """Traffic over few slots and with everybody resident, gaps while personas arrive, and memory.

    Returns ``rows`` (one for few slots, one for all resident), ``arrivals`` and ``memory``. Raises ``TownsfolkError``.
    """
    steps = 2 * plan.rounds + 2
    progress(0, steps, "loading the model")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="townsfolk-bench-")))
        start = {"streams": plan.streams, "rank": plan.rank, "context": plan.context}
        few = stack.enter_context(DrivenEngine.start(options.settings(adapters=plan.slots, **start)))
        every = stack.enter_context(DrivenEngine.start(options.settings(adapters=plan.personas, **start)))
        head = report_head(few.engine)
        folders = write_adapters(folder, few.engine.spec, plan.personas, plan.rank)
        adapters = adapter_refs(folders)
        rows = _traffic_rows(plan, {plan.slots: few, plan.personas: every}, adapters, progress, steps)
        progress(steps - 2, steps, "new personas in mid-traffic")
        running = max(min(plan.streams, plan.slots) - 1, 1)
        arrivals = measure_arrivals(few, adapters, running, plan.prompt_tokens, plan.gap_tokens, plan.rounds)
        progress(steps - 1, steps, f"{plan.disk_personas} personas on disk")
        memory = measure_memory(folder / "personas", plan.disk_personas, folders[0], few.engine.spec.name)
        progress(steps, steps, "done")
    return head | {
        "personas": plan.personas,
        "streams": plan.streams,
        "rank": plan.rank,
        "prompt_tokens": plan.prompt_tokens,
        "new_tokens": plan.new_tokens,
        "requests": plan.requests * plan.rounds,
        "rows": rows,
        "arrivals": arrivals,
        "memory": memory,
    }


def _traffic_rows(
    plan: ScalePlan,
    engines: dict[int, DrivenEngine],
    adapters: Sequence[AdapterRef],
    progress: Progress,
    steps: int,
) -> list[dict[str, Any]]:
    """One row for each number of slots; the engines take turns, and both are asked for the same personas."""
    prompts = FreshPrompts(next(iter(engines.values())).engine.spec.vocab_size)
    lines: dict[int, list[TimedLine]] = {slots: [] for slots in engines}
    loads: dict[int, int] = {}
    for slots, driven in engines.items():
        driven.keep_resident(adapters[:slots])
        _traffic(driven, plan, plan.streams, adapters, prompts, seed=0)  # untimed
        loads[slots] = driven.engine.stats().adapter_loads
    for number in range(plan.rounds):
        for turn, slots in enumerate(engines):
            progress(2 * number + turn, steps, f"{plan.personas} personas over {slots} slots")
            lines[slots] += _traffic(engines[slots], plan, plan.requests, adapters, prompts, seed=number + 1)
    return [
        {
            "slots": slots,
            "first_token_median_s": median([line.first_token_s for line in spoken]),
            "first_token_p99_s": percentile([line.first_token_s for line in spoken], 99),
            "longest_queue_wait_s": rounded(max(line.queue_s for line in spoken)),
            "adapter_loads": engines[slots].engine.stats().adapter_loads - loads[slots],
        }
        for slots, spoken in lines.items()
    ]


def _traffic(
    driven: DrivenEngine,
    plan: ScalePlan,
    requests: int,
    adapters: Sequence[AdapterRef],
    prompts: FreshPrompts,
    seed: int,
) -> list[TimedLine]:
    """Ask random personas for ``requests`` lines, the next one whenever one of the streams is free."""
    choose = random.Random(seed)
    lines: list[TimedLine] = []
    running: list[TimedLine] = []
    while running or len(lines) < requests:
        while len(running) < plan.streams and len(lines) < requests:
            (prompt,) = prompts.take(1, plan.prompt_tokens)
            lines.append(driven.submit(prompt, choose.choice(adapters), plan.new_tokens))
            running.append(lines[-1])
        driven.step()
        running = [line for line in running if not line.ended]
    return lines
