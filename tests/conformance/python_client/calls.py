"""Calls that wait for the daemon as long as their time lets them, and the state of the connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.conformance.python_client.events import report
from townsfolk.v1 import daemon_pb2, daemon_pb2_grpc

CALL_TIMEOUT_S = 10.0
RECONNECT_S = 0.05
RETRY_S = 0.1
BACKOFF = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]


def nobody_there(error: Any) -> bool:
    """Whether there was no daemon, or none that could speak: then the same call may succeed a little later."""
    return bool(error.code() == grpc.StatusCode.UNAVAILABLE)


class Calls:
    """A channel; ``reading`` is cleared while the client does not read."""

    def __init__(self, address: str, token: str) -> None:
        self.channel = grpc.aio.insecure_channel(address, options=BACKOFF)
        self.reading = asyncio.Event()
        self.reading.set()
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def once(self, method: Any, request: Any) -> Any:
        """An answer, or whatever keeps it from coming now."""
        return await method(request, timeout=CALL_TIMEOUT_S, metadata=self._metadata)

    async def ask(self, method: Any, request: Any) -> Any:
        """An answer; waits for a daemon."""
        until = time.monotonic() + CALL_TIMEOUT_S
        while True:
            await self.reading.wait()
            try:
                seconds = until - time.monotonic()
                return await method(request, timeout=seconds, metadata=self._metadata, wait_for_ready=True)
            except grpc.RpcError as error:
                if not nobody_there(error) or time.monotonic() + RETRY_S > until:
                    raise
                await asyncio.sleep(RETRY_S)

    async def stream(self, method: Any, request: Any, until: float) -> AsyncIterator[Any]:
        """The responses until a moment of the monotonic clock; waits for a daemon, and asks it once."""
        seconds = until - time.monotonic()
        call = method(request, timeout=seconds, metadata=self._metadata, wait_for_ready=True)
        await self.reading.wait()
        async for response in call:
            yield response
            await self.reading.wait()

    async def watch(self) -> None:
        """Report how the connection is, until the token turns out to be wrong."""
        health: Any = health_pb2_grpc.HealthStub(self.channel)
        while True:
            with suppress(grpc.RpcError):
                report("connection", state="connecting")
                async for answer in health.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True):
                    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
                    if serving and not await self._token_is_right():
                        report("connection", state="failed")
                        return
                    report("connection", state="ready" if serving else "not_serving")
            report("connection", state="lost")
            await asyncio.sleep(RECONNECT_S)

    async def _token_is_right(self) -> bool:
        daemon: Any = daemon_pb2_grpc.DaemonServiceStub(self.channel)
        try:
            await self.once(daemon.GetStats, daemon_pb2.GetStatsRequest())
        except grpc.RpcError as error:
            return bool(error.code() != grpc.StatusCode.UNAUTHENTICATED)
        return True
