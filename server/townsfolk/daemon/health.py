"""``grpc.health.v1.Health`` follows the engine: SERVING while lines can be asked for, NOT_SERVING else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grpc_health.v1 import health, health_pb2
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

ANY_SERVICE = ""  # health of the daemon as a whole


class Health:
    """Health of the daemon and of each of its services, all the same."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = (ANY_SERVICE, *services)
        self._servicer: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._serving: bool | None = None

    async def add_to(self, server: Any) -> None:
        """Register with a server that has not started. Nothing is SERVING yet."""
        add_HealthServicer_to_server(self._servicer, server)
        await self.set(serving=False)

    async def set(self, *, serving: bool) -> None:
        """Say whether lines can be asked for now. Who watches is told of changes only."""
        if serving is self._serving:
            return
        self._serving = serving
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in self._services:
            await self._servicer.set(service, status)

    async def leave(self) -> None:
        """NOT_SERVING for good: what comes first when the daemon drains."""
        await self._servicer.enter_graceful_shutdown()
