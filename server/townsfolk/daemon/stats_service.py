"""``DaemonService``: what runs here, and how the town is doing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import grpc

from townsfolk import __version__
from townsfolk.dialogue.turn import TurnRunner
from townsfolk.engine.interface import Engine
from townsfolk.engine.messages import Ready, Stats
from townsfolk.errors import TownsfolkError
from townsfolk.personas.library import PersonaLibrary
from townsfolk.v1 import daemon_pb2 as pb
from townsfolk.v1.daemon_pb2_grpc import DaemonServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

SUMMED = ("decode_tokens", "prefill_tokens", "cached_prompt_tokens", "adapter_loads", "adapter_evictions")
COUNT_PERSONAS_EVERY_S = 5.0  # a directory scan, too much for once a second with thousands of them


class EngineTotals:
    """Adds up an engine's counters over its restarts, and keeps the last ones known while it is down."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._restarts = engine.restarts
        self._before: Counter[str] = Counter()
        self._histogram_before: Counter[int] = Counter()
        self._largest = Counter[str]()
        self.now = Stats()

    async def update(self) -> None:
        """Ask the engine."""
        try:
            stats = await self._engine.stats()
        except TownsfolkError:
            return
        if self._engine.restarts != self._restarts:
            self._restarts = self._engine.restarts
            self._before.update({name: getattr(self.now, name) for name in SUMMED})
            self._histogram_before.update(self.now.adapters_per_step)
        self.now = stats
        for name in ("max_rows", "max_adapters"):
            self._largest[name] = max(self._largest[name], getattr(stats, name))

    def total(self, name: str) -> int:
        """A counter of ``SUMMED`` since the daemon started."""
        return int(self._before[name] + getattr(self.now, name))

    def largest(self, name: str) -> int:
        """``max_rows`` or ``max_adapters`` since the daemon started."""
        return self._largest[name]

    def histogram(self) -> dict[int, int]:
        """Decode steps by number of adapters, since the daemon started."""
        counts = self._histogram_before + Counter(self.now.adapters_per_step)
        return {adapters: steps for adapters, steps in sorted(counts.items()) if steps}


class StatsService(DaemonServiceServicer):
    """Answers ``GetStats``.

    Args:
        draining: tells whether the daemon is.
    """

    def __init__(
        self,
        engine: Engine,
        runner: TurnRunner,
        library: PersonaLibrary,
        draining: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._runner = runner
        self._library = library
        self._draining = draining
        self._began = time.monotonic()
        self._totals = EngineTotals(engine)
        self._personas = 0
        self._personas_counted: float | None = None

    async def GetStats(self, request: pb.GetStatsRequest, context: Context) -> pb.GetStatsResponse:
        """See the API."""
        return await self.snapshot()

    async def snapshot(self) -> pb.GetStatsResponse:
        """The figures of this moment."""
        if self._engine.ready:
            await self._totals.update()
        await self._count_personas()
        now, info = self._totals.now, self._info()
        return pb.GetStatsResponse(
            version=__version__,
            uptime_s=time.monotonic() - self._began,
            draining=self._draining(),
            model=_model(info),
            engine=self._engine_stats(info),
            adapter_pool=pb.AdapterPoolStats(
                slots=info.max_batch_adapters if info else 0,
                resident=len(now.resident_adapters),
                pinned=len({t.adapter_digest for t in self._runner.registry.running if t.adapter_digest}),
                resident_digests=now.resident_adapters,
                loads=self._totals.total("adapter_loads"),
                evictions=self._totals.total("adapter_evictions"),
            ),
            prefix_cache=pb.PrefixCacheStats(
                used_tokens=now.prefix_cache_tokens, capacity_tokens=now.prefix_cache_capacity
            ),
            town=self._town(),
        )

    def _info(self) -> Ready | None:
        try:
            return self._engine.info
        except TownsfolkError:
            return None

    def _engine_stats(self, info: Ready | None) -> pb.EngineStats:
        totals, histogram = self._totals, self._totals.histogram()
        return pb.EngineStats(
            name=self._engine.name,
            ready=self._engine.ready,
            restarts=self._engine.restarts,
            steps=sum(histogram.values()),  # the engine's own count has the steps that only read prompts, too
            decode_tokens=totals.total("decode_tokens"),
            prefill_tokens=totals.total("prefill_tokens"),
            cached_prompt_tokens=totals.total("cached_prompt_tokens"),
            running=totals.now.running if self._engine.ready else 0,
            waiting=totals.now.waiting if self._engine.ready else 0,
            max_batch_rows=info.max_batch_rows if info else 0,
            max_batch_adapters=info.max_batch_adapters if info else 0,
            largest_batch_rows=totals.largest("max_rows"),
            largest_batch_adapters=totals.largest("max_adapters"),
            step_histogram=[
                pb.StepHistogramBucket(adapters_in_step=adapters, steps=steps) for adapters, steps in histogram.items()
            ],
            capabilities=pb.EngineCapabilities(**asdict(info.capabilities)) if info and info.capabilities else None,
        )

    def _town(self) -> pb.TownStats:
        counts = self._runner.registry.counts
        return pb.TownStats(
            sessions=len(self._runner.sessions),
            personas=self._personas,
            turns_finished=counts.finished,
            turns_cancelled=counts.cancelled,
            turns_fallback=counts.fallback,
            turns_failed=counts.failed,
        )

    async def _count_personas(self) -> None:
        now = time.monotonic()
        if self._personas_counted is None or now - self._personas_counted > COUNT_PERSONAS_EVERY_S:
            self._personas_counted = now
            self._personas = len(await asyncio.to_thread(self._library.ids))


def _model(info: Ready | None) -> pb.ModelInfo:
    if info is None:
        return pb.ModelInfo()
    return pb.ModelInfo(
        name=info.model_name,
        architecture=info.family,
        device=info.device,
        dtype=info.dtype,
        context_tokens=info.max_context,
    )
