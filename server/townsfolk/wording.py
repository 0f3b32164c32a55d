"""Numbers, durations and statistics as a person says them, the same in every command and console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from townsfolk.v1.daemon_pb2 import EngineStats, GetStatsResponse

# What engines can do, by the names of ``EngineCapabilities``.
CAPABILITY_WORDS = {
    "adapter_scale": "adapters stronger or weaker than trained",
    "token_likelihoods": "likelihoods of tokens",
    "guided_decoding": "lines held to a JSON schema",
    "seeded": "the same seed, the same line, whatever else is in the batch",
    "adapter_patterns": "adapters with alpha_pattern",
    "shared_prefix": "a prompt's KV shared between activated adapters",
    "frees_adapters": "memory back at once when an adapter is unloaded",
}


class TurnStats(Protocol):
    """What a turn cost: the API's message, or the dialogue layer's own."""

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def cached_prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def time_to_first_token_s(self) -> float: ...
    @property
    def tokens_per_s(self) -> float: ...
    @property
    def max_batch_adapters(self) -> int: ...


def in_seconds(seconds: float) -> str:
    """A duration as a person says it: `0.21 s`, `3.4 s`, `2 min 5 s`, `3 h 20 min`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def per_second(rate: float) -> str:
    """Tokens a second, with a digit after the point where it matters."""
    return f"{rate:.1f}" if rate < 10 else f"{rate:.0f}"


def counted(number: int, noun: str) -> str:
    """`1 token`, `12 tokens`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def cost_in_words(stats: TurnStats) -> str:
    """What a turn cost, in one line."""
    parts = [counted(stats.completion_tokens, "token"), f"first after {in_seconds(stats.time_to_first_token_s)}"]
    if stats.tokens_per_s:
        parts.append(f"{stats.tokens_per_s:.1f} tokens/s")
    if stats.cached_prompt_tokens:
        parts.append(f"{stats.cached_prompt_tokens} of {stats.prompt_tokens} prompt tokens cached")
    adapters = stats.max_batch_adapters
    parts.append(f"{counted(adapters, 'adapter')} in the largest step" if adapters else "without an adapter")
    return " · ".join(parts)


def town_in_words(stats: GetStatsResponse) -> list[tuple[str, str]]:
    """How a daemon is doing, as labels and values."""
    model, engine, pool, cache, town = stats.model, stats.engine, stats.adapter_pool, stats.prefix_cache, stats.town
    shared = sum(bucket.steps for bucket in engine.step_histogram if bucket.adapters_in_step >= 2)
    read = engine.prefill_tokens + engine.cached_prompt_tokens
    shared_share = shared / engine.steps if engine.steps else 0.0
    cached_share = engine.cached_prompt_tokens / read if read else 0.0
    missing, capacity = _missing_capabilities(engine), cache.capacity_tokens
    now = f"{counted(engine.running, 'line')} running, {engine.waiting} waiting"
    most = engine.largest_batch_adapters
    adapters = f"{pool.resident} of {counted(pool.slots, 'slot')}" if pool.slots else str(pool.resident)
    finished = (
        f"{town.turns_finished:,} finished ({town.turns_cancelled:,} cancelled, {town.turns_fallback:,} fallback)"
    )
    return [
        ("model", f"{model.name} in {model.dtype} on {model.device}, {model.context_tokens:,} tokens of context"),
        ("engine", f"{engine.name}, {counted(engine.restarts, 'restart')}"),
        *([("without", "; ".join(missing))] if missing else []),
        ("now", f"{now}, at most {engine.max_batch_rows} together" if engine.max_batch_rows else now),
        ("spoken", f"{counted(engine.decode_tokens, 'token')} in {counted(engine.steps, 'step')}"),
        ("shared steps", f"{shared_share:.0%} served two or more adapters; the most was {most}"),
        ("prompts", f"{counted(read, 'token')}, {cached_share:.0%} of them from the cache"),
        ("adapters", f"{adapters} in use, {pool.pinned} pinned, {pool.evictions} pushed out so far"),
        *([("prefix cache", f"{cache.used_tokens:,} of {counted(capacity, 'token')}")] if capacity else []),
        ("town", f"{counted(town.personas, 'persona')}, {counted(town.sessions, 'session')}"),
        ("turns", f"{finished}, {town.turns_failed:,} failed"),
    ]


def _missing_capabilities(engine: EngineStats) -> list[str]:
    if not engine.HasField("capabilities"):
        return []
    return [words for name, words in CAPABILITY_WORDS.items() if not getattr(engine.capabilities, name)]
