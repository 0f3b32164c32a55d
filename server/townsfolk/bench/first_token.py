"""`bench first-token`: how long a character takes to begin, the first time, the next time and in a conversation."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from townsfolk.bench.drive import DrivenEngine, EngineOptions, Progress, TimedLine, adapter_refs
from townsfolk.bench.figures import median, report_head, rounded
from townsfolk.bench.prompts import FreshPrompts
from townsfolk.bench.workload import write_adapters
from townsfolk.engine.messages import AdapterRef

CASES = ("cold", "cached", "second_turn")


@dataclass(frozen=True)
class FirstTokenPlan:
    """Tokens of the persona's prompt, of a player's line and of a reply; LoRA rank; timed rounds."""

    persona_tokens: int = 512
    line_tokens: int = 16
    new_tokens: int = 16
    rank: int = 16
    rounds: int = 5

    @property
    def context(self) -> int:
        return self.persona_tokens + 2 * (self.line_tokens + self.new_tokens)


def bench_first_token(options: EngineOptions, plan: FirstTokenPlan, progress: Progress) -> dict[str, Any]:
    """Median seconds from the request to the first token, one line at a time, for each of ``CASES``.

    ``cold``: a persona's prompt that was never read, and a player's line. ``cached``: the same persona and another
    line. ``second_turn``: the first line, its reply and one more line. The adapter is resident in all of them.
    """
    progress(0, plan.rounds, "loading the model")
    settings = options.settings(streams=1, adapters=1, rank=plan.rank, context=plan.context)
    with tempfile.TemporaryDirectory(prefix="townsfolk-bench-") as folder, DrivenEngine.start(settings) as driven:
        head = report_head(driven.engine)
        adapters = adapter_refs(write_adapters(Path(folder), driven.engine.spec, 1, plan.rank))
        driven.keep_resident(adapters)
        prompts = FreshPrompts(driven.engine.spec.vocab_size)
        _round(driven, plan, prompts, adapters[0])  # untimed
        rounds = []
        for number in range(plan.rounds):
            progress(number, plan.rounds, f"round {number + 1}")
            rounds.append(_round(driven, plan, prompts, adapters[0]))
        progress(plan.rounds, plan.rounds, "done")
    return head | _report(plan, rounds)


def _round(
    driven: DrivenEngine, plan: FirstTokenPlan, prompts: FreshPrompts, adapter: AdapterRef
) -> dict[str, TimedLine]:
    """One persona meets two players; the first of them says a second thing."""
    (persona,) = prompts.take(1, plan.persona_tokens)
    first, other, second = prompts.take(3, plan.line_tokens)

    def speak(prompt: list[int]) -> TimedLine:
        line = driven.submit(prompt, adapter, plan.new_tokens)
        driven.finish([line])
        return line

    cold = speak(persona + first)
    cached = speak(persona + other)
    return {"cold": cold, "cached": cached, "second_turn": speak(persona + first + cold.token_ids + second)}


def _report(plan: FirstTokenPlan, rounds: list[dict[str, TimedLine]]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {
            "case": case,
            "first_token_s": median([lines[case].first_token_s for lines in rounds]),
            "cached_tokens": rounds[-1][case].cached_tokens,
            "runs": [rounded(lines[case].first_token_s) for lines in rounds],
        }
        for case in CASES
    ]
    cold, cached, second = (row["first_token_s"] for row in rows)
    return {
        "persona_tokens": plan.persona_tokens,
        "line_tokens": plan.line_tokens,
        "new_tokens": plan.new_tokens,
        "rank": plan.rank,
        "rows": rows,
        "cold_over_cached": rounded(cold / cached),
        "cold_over_second_turn": rounded(cold / second),
    }
