"""What running streams feel of a newcomer: the gap between their tokens while a new persona is read and loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from townsfolk.bench.drive import DrivenEngine, TimedLine
from townsfolk.bench.figures import median, percentile
from townsfolk.bench.prompts import FreshPrompts
from townsfolk.engine.messages import AdapterRef

STEPS_BETWEEN = 8  # engine steps from one newcomer to the next
NEWCOMER_TOKENS = 2

Newcomer = Callable[[int], AdapterRef | None]  # who comes as the n-th; ``None``: nobody


def measure_arrivals(
    driven: DrivenEngine,
    adapters: Sequence[AdapterRef],
    running: int,
    prompt_tokens: int,
    new_tokens: int,
    rounds: int,
) -> dict[str, Any]:
    """Gaps between the tokens of ``running`` lines: nobody else comes, a resident persona comes, a new one comes.

    A newcomer's prompt has to be read in every case, so ``new_persona`` against ``resident_persona`` is what loading
    costs. New personas are neither in slots nor in host memory when they come. ``adapters``: those of the running
    lines first. Returns median and 99th percentile in seconds for each case.
    """
    cast, others = adapters[:running], adapters[running:]

    def new_one(number: int) -> AdapterRef:
        adapter = others[number % len(others)]
        driven.forget([adapter.digest])
        return adapter

    cases: dict[str, Newcomer] = {
        "quiet": lambda number: None,
        "resident_persona": lambda number: others[0],
        "new_persona": new_one,
    }
    prompts = FreshPrompts(driven.engine.spec.vocab_size, seed=1_000_000)
    gaps: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case, newcomer in cases.items():
            driven.keep_resident([*cast, others[0]])
            gaps[case] += _gaps(driven, prompts, cast, newcomer, prompt_tokens, new_tokens)
    return {
        "running_streams": running,
        "steps_between_newcomers": STEPS_BETWEEN,
        **{
            case: {"gap_median_s": median(found), "gap_p99_s": percentile(found, 99), "gaps": len(found)}
            for case, found in gaps.items()
        },
    }


def _gaps(
    driven: DrivenEngine,
    prompts: FreshPrompts,
    cast: Sequence[AdapterRef],
    newcomer: Newcomer,
    prompt_tokens: int,
    new_tokens: int,
) -> list[float]:
    """Seconds between the tokens of the cast's lines from when all of them speak; newcomers come one by one."""
    asked = prompts.take(len(cast), prompt_tokens)
    lines = [driven.submit(prompt, adapter, new_tokens) for prompt, adapter in zip(asked, cast, strict=True)]
    while not all(line.token_times for line in lines):
        driven.step()
    started = max(line.token_times[-1] for line in lines)
    guest: TimedLine | None = None
    steps = came = 0
    while not all(line.ended for line in lines):
        if steps % STEPS_BETWEEN == 0 and (guest is None or guest.ended):
            adapter = newcomer(came)
            if adapter is not None:
                (prompt,) = prompts.take(1, prompt_tokens)
                guest, came = driven.submit(prompt, adapter, NEWCOMER_TOKENS), came + 1
        steps += driven.step()
    if guest is not None:
        driven.finish([guest])
    return [gap for line in lines for gap in line.gaps_s(started)]
