"""Where adapters are: in the engine's pool, in host memory, or on disk only; and how they leave."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from townsfolk.engine.interface import Engine
from townsfolk.errors import FailedPrecondition, TownsfolkError
from townsfolk.personas.library import LoadedPersona
from townsfolk.v1 import persona_pb2

UNLOAD_RETRY_S = 0.2
UNLOAD_PATIENCE_S = 600.0  # no line may run longer


@dataclass(frozen=True, slots=True)
class Residency:
    """Digests of the adapters that the engine holds, at one moment."""

    resident: frozenset[str] = field(default_factory=frozenset)
    host: frozenset[str] = field(default_factory=frozenset)

    def state(self, loaded: LoadedPersona | None) -> int:
        """The ``AdapterState`` of a persona."""
        return self.state_of("" if loaded is None or loaded.adapter is None else loaded.adapter.digest)

    def state_of(self, digest: str) -> int:
        """The ``AdapterState`` of an adapter; of none, for an empty digest."""
        if not digest:
            return persona_pb2.ADAPTER_STATE_NONE
        if digest in self.resident:
            return persona_pb2.ADAPTER_STATE_RESIDENT
        if digest in self.host:
            return persona_pb2.ADAPTER_STATE_HOST
        return persona_pb2.ADAPTER_STATE_ON_DISK


async def residency_of(engine: Engine) -> Residency:
    """What the engine holds now; nothing while it is down."""
    try:
        stats = await engine.stats()
    except TownsfolkError:
        return Residency()
    return Residency(frozenset(stats.resident_adapters), frozenset(stats.host_adapters))


class Unloader:
    """Takes adapters out of the engine, later where a line still uses one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: dict[str, asyncio.Task[None]] = {}

    async def unload(self, digest: str) -> bool:
        """Take an adapter out. Returns true if that has to wait for a line to end."""
        if digest in self._waiting:
            return True
        try:
            await self._engine.unload_adapter(digest)
        except FailedPrecondition:
            task = asyncio.create_task(self._unload_later(digest), name=f"unload {digest[:8]}")
            self._waiting[digest] = task
            task.add_done_callback(lambda _: self._waiting.pop(digest, None))
            return True
        return False

    def stop(self) -> None:
        """Wait for nothing any more."""
        for task in self._waiting.values():
            task.cancel()

    async def _unload_later(self, digest: str) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + UNLOAD_PATIENCE_S
        while loop.time() < until:
            await asyncio.sleep(UNLOAD_RETRY_S)
            try:
                await self._engine.unload_adapter(digest)
            except FailedPrecondition:
                continue
            except TownsfolkError:
                return  # the engine is down, and its adapters with it
            return
