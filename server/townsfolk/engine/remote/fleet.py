"""The servers together: which there are, which are well, and which one a line goes to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from townsfolk.engine.remote.endpoint import Endpoint
from townsfolk.engine.remote.settings import EndpointSettings, RemoteSettings, check_endpoints, named_endpoints
from townsfolk.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, TownsfolkError, Unavailable

log = logging.getLogger(__name__)

RETRY_S = 1.0
FIRST_LOOK_S = 0.2  # between looks while no server has come up yet


class Fleet:
    """All endpoints, each looked after by a task of its own.

    Args:
        settings: which servers there are at first, and the file that may name others later.
        make: makes the endpoint of a server.
    """

    def __init__(self, settings: RemoteSettings, make: Callable[[EndpointSettings], Endpoint]) -> None:
        self._settings = settings
        self._make = make
        self._endpoints: dict[str, Endpoint] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._read_at: int | None = None
        self._named: frozenset[str] = frozenset()
        self._some_up = asyncio.Event()

    @staticmethod
    def check(settings: RemoteSettings) -> None:
        """Raise ``InvalidArgument`` for settings that name no server, or one that may not be used."""
        if not settings.endpoints and settings.endpoints_file is None:
            raise InvalidArgument(
                "the remote engine has no server; name one in the config file, as [[engine.remote.endpoints]] with "
                'url = "http://127.0.0.1:8000" and server = "vllm"',
                field="engine.remote.endpoints",
            )
        check_endpoints(settings.endpoints, settings)

    @property
    def endpoints(self) -> list[Endpoint]:
        return list(self._endpoints.values())

    @property
    def returns(self) -> int:
        return sum(endpoint.returns for endpoint in self.endpoints)

    async def start(self, timeout_s: float) -> None:
        """Look for all servers; return when one is up. Raises ``Unavailable``, or why none may be used."""
        self._apply(self._wanted())
        self._watcher = asyncio.create_task(self._watch(), name="endpoints file")
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not any(endpoint.up for endpoint in self.endpoints):
                    refusals = [endpoint.refused for endpoint in self.endpoints]
                    if refusals and all(refusals):
                        raise next(refusal for refusal in refusals if refusal is not None)
                    self._some_up.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._some_up.wait(), FIRST_LOOK_S)
                return
        urls = ", ".join(endpoint.url for endpoint in self.endpoints) or "none"
        raise Unavailable(
            f"no server of engine.remote came up within {timeout_s:g} s ({urls}); start one, or raise "
            "engine.start_timeout_s"
        )

    async def stop(self) -> None:
        tasks = [*self._keepers.values(), *([self._watcher] if self._watcher else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for endpoint in self.endpoints:
            endpoint.up = False
            await endpoint.close()

    def choose(self, digest: str, tried: set[str], needs: dict[str, str], *, by_min_p: bool = False) -> Endpoint:
        """The server for a line: the least loaded one among those that hold its adapter, else among all.

        ``tried`` ones come last. ``needs``: attributes of the dialect that the line cannot do without. ``by_min_p``:
        those that draw by it come first.

        Raises ``FailedPrecondition`` where no server can do what the line needs, ``ResourceExhausted`` while all are
        full, ``Unavailable`` while none is up.
        """
        for ability, what in needs.items():
            if not any(getattr(endpoint.dialect, ability) for endpoint in self.endpoints):
                raise FailedPrecondition(f"no server of engine.remote can {what}", field=ability)
        able = [e for e in self.endpoints if all(getattr(e.dialect, ability) for ability in needs)]
        up = [e for e in able if e.up and not e.draining]
        if not up:
            raise Unavailable("no server of engine.remote takes lines now; try again shortly", retry_after_s=RETRY_S)
        free = [e for e in up if e.takes_lines]
        if not free:
            raise ResourceExhausted("all servers of engine.remote are full; try again shortly", retry_after_s=RETRY_S)
        fresh = [e for e in free if e.url not in tried] or free
        fitting = [e for e in fresh if e.dialect.draws_by_min_p or not by_min_p] or fresh
        holders = [e for e in fitting if digest in e.held] or fitting
        return min(holders, key=lambda endpoint: (endpoint.in_flight, len(endpoint.held)))

    # ── coming and going ─────────────────────────────────────────────────────────────────────────────────────

    def _wanted(self) -> list[EndpointSettings]:
        path = self._settings.endpoints_file
        if path is not None:
            with suppress(OSError):
                self._read_at = path.stat().st_mtime_ns
        return named_endpoints(self._settings)

    def _apply(self, wanted: list[EndpointSettings]) -> None:
        """Take up new servers, set and end the draining of known ones, let go of those that are no longer named."""
        by_url = {own.url: own for own in wanted}
        self._named = frozenset(by_url)
        for url, endpoint in self._endpoints.items():
            own = by_url.get(url)
            draining = own is None or own.draining or own.server != endpoint.own.server
            if draining and not endpoint.draining:
                log.info("%s is draining: %d lines in flight", url, endpoint.in_flight)
            endpoint.draining = draining
        for url, own in by_url.items():
            if url not in self._endpoints:
                self._endpoints[url] = self._make(own)
                self._keepers[url] = asyncio.create_task(self._keep(self._endpoints[url]), name=f"health of {url}")

    async def _keep(self, endpoint: Endpoint) -> None:
        """Look after one server for as long as it is named."""
        known = False
        while True:
            was_up = endpoint.up
            endpoint.look_now.clear()
            await endpoint.look()
            if endpoint.up and not was_up:
                endpoint.returns += known
                known = True
                self._some_up.set()
            if endpoint.refused is not None:
                self._some_up.set()
            pause_s = self._settings.health_interval_s if known else min(FIRST_LOOK_S, self._settings.health_interval_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(endpoint.look_now.wait(), pause_s)

    async def _watch(self) -> None:
        """Follow the endpoints file; close servers that it no longer names once their lines have ended."""
        path = self._settings.endpoints_file
        while True:
            await asyncio.sleep(self._settings.health_interval_s)
            try:
                if path is not None and path.stat().st_mtime_ns != self._read_at:
                    self._apply(self._wanted())
                    log.info("read %s: %d servers", path, len(self._named))
            except (TownsfolkError, OSError) as error:
                log.error("the servers stay as they were: %s", error)
            await self._let_go()

    async def _let_go(self) -> None:
        for url in [url for url in self._endpoints if url not in self._named and not self._endpoints[url].in_flight]:
            self._keepers.pop(url).cancel()
            await self._endpoints.pop(url).close()
            log.info("%s has been let go", url)
