"""Metrics for Prometheus, under the stems that vLLM's dashboards graph already; they hold figures only, no words.

Names: https://docs.vllm.ai/en/latest/usage/metrics.html. Format: OpenMetrics and Prometheus text exposition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from townsfolk.dialogue.events import Happening, TurnFailed, TurnFinished, TurnStats
from townsfolk.v1 import daemon_pb2 as pb

PREFIX = "townsfolk"
SNAPSHOT_TIMEOUT_S = 5.0  # Prometheus gives a scrape 10 s
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class TurnMetrics:
    """Counts and times of turns that have ended."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._finished = Counter(
            "request_success",
            "Lines that were spoken, by why they ended",
            ["finished_reason"],
            PREFIX,
            registry=registry,
        )
        self._failed = Counter(
            "request_failure",
            "Lines that ended with an error, by its gRPC status",
            ["status"],
            PREFIX,
            registry=registry,
        )
        self._fallback = Counter(
            "fallback_lines", "Authored lines in place of the model's, by reason", ["reason"], PREFIX, registry=registry
        )
        self._first_token = self._histogram(
            "time_to_first_token_seconds", "From the request to its first token", registry
        )
        self._token = self._histogram(
            "request_time_per_output_token_seconds", "Mean time between the tokens of a line", registry
        )
        self._total = self._histogram(
            "e2e_request_latency_seconds", "From the request to the end of the line", registry
        )
        self._queue = self._histogram(
            "request_queue_time_seconds", "From the request to a place in the batch", registry
        )

    def observe(self, last: Happening) -> None:
        """A turn has ended with ``last``."""
        match last:
            case TurnFinished(reason=reason, stats=stats, fallback=fallback):
                self._finished.labels(finished_reason=reason.value).inc()
                if fallback is not None:
                    self._fallback.labels(reason=fallback.value).inc()
                else:
                    self._time(stats)
            case TurnFailed(error=error):
                self._failed.labels(status=error.status).inc()

    def _time(self, stats: TurnStats) -> None:
        self._total.observe(stats.total_s)
        if stats.completion_tokens:
            self._queue.observe(stats.queue_s)
            self._first_token.observe(stats.time_to_first_token_s)
        if stats.tokens_per_s:
            self._token.observe(1 / stats.tokens_per_s)

    @staticmethod
    def _histogram(name: str, help_text: str, registry: CollectorRegistry) -> Histogram:
        return Histogram(name, help_text, namespace=PREFIX, buckets=SECONDS, registry=registry)


class TownCollector(Collector):
    """What ``GetStats`` answers, as metrics, taken anew at every scrape.

    Args:
        snapshot: asks for the figures, in ``loop``.
    """

    def __init__(self, snapshot: Callable[[], Awaitable[pb.GetStatsResponse]], loop: asyncio.AbstractEventLoop) -> None:
        self._snapshot = snapshot
        self._loop = loop

    def collect(self) -> Iterator[Metric]:
        """Called in the HTTP server's thread."""

        async def ask() -> pb.GetStatsResponse:
            return await self._snapshot()

        yield from metrics_of(asyncio.run_coroutine_threadsafe(ask(), self._loop).result(SNAPSHOT_TIMEOUT_S))

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not ask for figures."""
        return []


def metrics_of(stats: pb.GetStatsResponse) -> Iterator[Metric]:
    """The figures of one moment."""
    engine, adapters, cache, town = stats.engine, stats.adapter_pool, stats.prefix_cache, stats.town
    prompt_tokens = engine.prefill_tokens + engine.cached_prompt_tokens
    for name, help_text, value in (
        ("engine_ready", "Whether lines can be asked for", float(engine.ready)),
        ("draining", "Whether the daemon is shutting down", float(stats.draining)),
        ("uptime_seconds", "Since the daemon was started", stats.uptime_s),
        ("num_requests_running", "Lines in the batch", engine.running),
        ("num_requests_waiting", "Lines that wait for a place in the batch", engine.waiting),
        ("max_num_requests_running", "Places in the batch; 0: not known", engine.max_batch_rows),
        ("adapter_slots", "Adapters that can be resident together; 0: not known", adapters.slots),
        ("adapters_resident", "Adapters in slots", adapters.resident),
        ("prefix_cache_tokens", "Tokens whose KV is kept for reuse", cache.used_tokens),
        ("prefix_cache_usage_perc", "Share of the prefix cache in use, 0 to 1",
         cache.used_tokens / cache.capacity_tokens if cache.capacity_tokens else 0.0),
        ("sessions", "Sessions that are open", town.sessions),
        ("personas", "Personas on disk", town.personas),
    ):  # fmt: skip
        yield GaugeMetricFamily(f"{PREFIX}_{name}", help_text, value=value)
    for name, help_text, value in (
        ("prompt_tokens", "Tokens of prompts, read or taken from the cache", prompt_tokens),
        ("generation_tokens", "Tokens sampled", engine.decode_tokens),
        ("prefix_cache_queries", "Tokens of prompts that were looked up in the prefix cache", prompt_tokens),
        ("prefix_cache_hits", "Tokens of prompts that were found there", engine.cached_prompt_tokens),
        ("adapter_loads", "Adapters put into a slot", adapters.loads),
        ("adapter_evictions", "Adapters that made way for another", adapters.evictions),
        ("engine_restarts", "Times the engine died and was started again", engine.restarts),
    ):
        yield CounterMetricFamily(f"{PREFIX}_{name}", help_text, value=value)
    steps = CounterMetricFamily(f"{PREFIX}_decode_steps", "Steps, by different adapters in them", labels=["adapters"])
    for bucket in engine.step_histogram:
        steps.add_metric([str(bucket.adapters_in_step)], bucket.steps)
    yield steps
