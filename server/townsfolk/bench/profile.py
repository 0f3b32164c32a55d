"""`bench profile`: where a step of the CPU kernel goes, and how near it comes to what the machine can do."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from townsfolk.bench.drive import DrivenEngine, EngineOptions, Progress, adapter_refs, time_together
from townsfolk.bench.figures import report_head, rounded
from townsfolk.bench.prompts import FreshPrompts
from townsfolk.bench.workload import write_adapters
from townsfolk.engine.embedded.engine import EmbeddedEngine
from townsfolk.engine.embedded.int8_decoder import Int8Decoder
from townsfolk.engine.embedded.peft_adapter import PROJECTIONS
from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.engine.messages import AdapterRef
from townsfolk.errors import FailedPrecondition

REST = "sampling, scheduling, bookkeeping"
WARM_UP_TOKENS = 8


@dataclass(frozen=True)
class ProfilePlan:
    """Lines spoken together and the different adapters among them."""

    streams: int = 8
    adapters: int = 8
    rank: int = 16
    prompt_tokens: int = 43
    new_tokens: int = 100


def bench_profile(options: EngineOptions, plan: ProfilePlan, progress: Progress) -> dict[str, Any]:
    """Milliseconds a step by phase, for the batch with its adapters and for the same batch without.

    ``rows``: one for each phase, ``base_ms`` and ``mixed_ms``. ``base`` and ``mixed`` hold what a step does in all:
    ``step_ms``, ``tokens`` (computed, those of prompts included), ``weights_mb`` that it reads and ``gmacs`` that it
    multiplies, and the rates that follow. Raises ``FailedPrecondition`` where the kernel is not what computes.
    """
    progress(0, 2, "loading the model")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="townsfolk-bench-")))
        settings = options.settings(
            streams=plan.streams,
            adapters=plan.adapters,
            rank=plan.rank,
            context=plan.prompt_tokens + plan.new_tokens,
        )
        driven = stack.enter_context(DrivenEngine.start(settings))
        if not isinstance(driven.engine, EmbeddedEngine) or not isinstance(driven.engine.decoder, Int8Decoder):
            raise FailedPrecondition("only the CPU kernel keeps a profile; this engine computes with PyTorch")
        head = report_head(driven.engine)
        adapters = adapter_refs(write_adapters(folder, driven.engine.spec, plan.adapters, plan.rank))
        driven.keep_resident(adapters)
        prompts = FreshPrompts(driven.engine.spec.vocab_size)
        progress(0, 2, "without adapters")
        base = _profile(driven, plan, prompts, [None] * plan.streams)
        progress(1, 2, f"with {plan.adapters} adapters")
        mixed = _profile(driven, plan, prompts, [adapters[i % plan.adapters] for i in range(plan.streams)])
        progress(2, 2, "done")
    rows = [
        {"phase": phase, "base_ms": rounded(base["phases"][phase]), "mixed_ms": rounded(mixed["phases"][phase])}
        for phase in base["phases"]
    ]
    setting = {"streams": plan.streams, "adapters": plan.adapters, "rank": plan.rank}
    return head | setting | {"rows": rows, "base": _totals(base), "mixed": _totals(mixed)}


def _profile(
    driven: DrivenEngine, plan: ProfilePlan, prompts: FreshPrompts, cast: Sequence[AdapterRef | None]
) -> dict[str, Any]:
    engine = driven.engine
    assert isinstance(engine, EmbeddedEngine)
    assert isinstance(engine.decoder, Int8Decoder)
    time_together(driven, prompts.take(plan.streams, plan.prompt_tokens), cast, WARM_UP_TOKENS)
    stats, profile = engine.stats(), engine.decoder.model.profile()
    time_together(driven, prompts.take(plan.streams, plan.prompt_tokens), cast, plan.new_tokens)
    after, later = engine.stats(), engine.decoder.model.profile()
    steps = after.steps - stats.steps
    busy_ms = 1000 * (after.busy_s - stats.busy_s) / steps
    phases = {phase: 1000 * (later[phase] - profile[phase]) / steps for phase in profile}
    prompt_tokens = (after.prefill_tokens - stats.prefill_tokens) / steps
    decoded = (after.decode_tokens - stats.decode_tokens) / steps
    different = len({adapter.digest for adapter in cast if adapter is not None})
    weights = _layer_weights(engine.spec)
    adapter_weights = _adapter_weights(engine.spec, plan.rank)
    head_weights = engine.spec.vocab_size * engine.spec.hidden_size
    macs = (weights + (adapter_weights if different else 0)) * (decoded + prompt_tokens) + head_weights * decoded
    return {
        "phases": phases | {REST: busy_ms - sum(phases.values())},
        "step_ms": busy_ms,
        "tokens": decoded + prompt_tokens,
        "weights_mb": (weights + head_weights + different * adapter_weights) / 1e6,
        "gmacs": macs / 1e9,
    }


def _totals(found: dict[str, Any]) -> dict[str, float]:
    seconds = found["step_ms"] / 1000
    totals = {key: rounded(found[key]) for key in ("step_ms", "tokens", "weights_mb", "gmacs")}
    return totals | {
        "read_gb_per_s": rounded(found["weights_mb"] / 1000 / seconds),
        "gmacs_per_s": rounded(found["gmacs"] / seconds),
    }


def _layer_weights(spec: ModelSpec) -> int:
    shapes = (spec.projection_shape(projection) for projection in PROJECTIONS)
    return spec.num_layers * sum(outputs * inputs for outputs, inputs in shapes)


def _adapter_weights(spec: ModelSpec, rank: int) -> int:
    shapes = (spec.projection_shape(projection) for projection in PROJECTIONS)
    return spec.num_layers * sum(rank * (outputs + inputs) for outputs, inputs in shapes)
