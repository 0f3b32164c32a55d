"""Lets Prometheus scrape the daemon, where its settings ask for that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from townsfolk.daemon.address import Address
from townsfolk.dialogue.turn_registry import TurnRegistry
from townsfolk.errors import FailedPrecondition, InvalidArgument, Unavailable
from townsfolk.v1 import daemon_pb2 as pb


class MetricsServer:
    """Serves ``/metrics`` over HTTP from a thread of its own. Raises ``Unavailable`` if the address is taken."""

    def __init__(self, address: Address, registry: Any) -> None:
        from prometheus_client import start_http_server

        try:
            self._server, self._thread = start_http_server(address.port, address.host, registry)
        except OSError as error:
            raise Unavailable(f"cannot serve metrics on {address}: {error.strerror or error}") from error
        self.address = Address(address.host, self._server.server_port)

    def stop(self) -> None:
        """Free the port. Waits for a scrape in flight."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(
    address: Address, snapshot: Callable[[], Awaitable[pb.GetStatsResponse]], turns: TurnRegistry
) -> MetricsServer:
    """Serve the figures that ``snapshot`` answers in the running event loop, and those of the turns that end.

    Raises ``FailedPrecondition`` without prometheus-client, ``InvalidArgument`` for a Unix socket, ``Unavailable`` for
    an address that is taken.
    """
    try:
        from prometheus_client import CollectorRegistry

        from townsfolk.daemon.metrics import TownCollector, TurnMetrics
    except ImportError as error:
        raise FailedPrecondition(
            "daemon.metrics_address needs prometheus-client: pip install 'townsfolk[metrics]'", field="metrics_address"
        ) from error
    if address.path:
        raise InvalidArgument("Prometheus scrapes host:port, not a Unix socket", field="metrics_address")
    registry = CollectorRegistry()
    turns.listeners.append(TurnMetrics(registry).observe)
    registry.register(TownCollector(snapshot, asyncio.get_running_loop()))
    return MetricsServer(address, registry)
