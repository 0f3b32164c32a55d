"""Telling whoever watches the library what changes in it: one look a second for all of them, while anybody watches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

from townsfolk.daemon.convert import persona_message
from townsfolk.daemon.residency import Residency, residency_of
from townsfolk.engine.interface import Engine
from townsfolk.errors import NotFound, ResourceExhausted, TownsfolkError
from townsfolk.personas.adapters import Stamp
from townsfolk.personas.library import PersonaLibrary
from townsfolk.v1 import persona_pb2 as pb

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
MAX_WATCHERS = 32
MAX_WAITING_CHANGES = 1024  # of one watcher that reads slowly
READ_TOGETHER = 64  # personas that are read in one go, off the event loop


@dataclass(frozen=True, slots=True)
class _Seen:
    """A persona at the last look: its files, the digest of its adapter ("" without one) and where that was."""

    stamp: Stamp
    digest: str
    state: int


class _Watcher:
    """One call of ``Watch``: the changes that wait for it, and why it ends."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self._waiting: list[pb.WatchResponse] = []
        self._news = asyncio.Event()
        self._error: TownsfolkError | None = None

    def wants(self, persona_id: str) -> bool:
        return not self._wanted or persona_id in self._wanted

    def tell(self, change: pb.WatchResponse) -> None:
        if not self.wants(change.persona.id):
            return
        if len(self._waiting) == MAX_WAITING_CHANGES:
            self.end(ResourceExhausted(f"{MAX_WAITING_CHANGES} changes wait to be read; watch again, and read faster"))
            return
        self._waiting.append(change)
        self._news.set()

    def end(self, error: TownsfolkError) -> None:
        self._error = self._error or error
        self._news.set()

    async def take(self) -> list[pb.WatchResponse]:
        """All that waits, as soon as there is anything. Raises what ended the watch."""
        await self._news.wait()
        if self._error is not None:
            raise self._error
        self._news.clear()
        taken, self._waiting = self._waiting, []
        return taken


class LibraryWatch:
    """The library under watch.

    Args:
        look_every_s: seconds between two looks at the disk and at the engine's adapters.
    """

    def __init__(self, library: PersonaLibrary, engine: Engine, look_every_s: float = LOOK_EVERY_S) -> None:
        self._library = library
        self._engine = engine
        self._look_every_s = look_every_s
        self._watchers: set[_Watcher] = set()
        self._seen: dict[str, _Seen] = {}
        self._looking = asyncio.Lock()
        self._looks: asyncio.Task[None] | None = None
        self._ended: TownsfolkError | None = None

    async def changes(self, wanted: frozenset[str]) -> AsyncGenerator[pb.WatchResponse, None]:
        """What ``Watch`` streams for these personas, or for all; one that is not there yet is told of when it comes.

        Raises ``ResourceExhausted`` for one watcher too many and for one who is too slow, and what ``end`` is given.
        """
        watcher = _Watcher(wanted)
        await self._admit(watcher)
        try:
            ids = sorted(filter(watcher.wants, self._seen))
            for start in range(0, len(ids), READ_TOGETHER):
                for existing in await asyncio.to_thread(self._existing, ids[start : start + READ_TOGETHER]):
                    yield existing
            yield pb.WatchResponse(change=pb.PERSONA_CHANGE_SYNCED)
            while True:
                for change in await watcher.take():
                    yield change
        finally:
            self._watchers.discard(watcher)
            if not self._watchers and self._looks is not None:
                self._looks.cancel()
                self._looks = None

    def end(self, error: TownsfolkError) -> None:
        """End all watches with ``error``, and whichever would begin."""
        self._ended = error
        for watcher in self._watchers:
            watcher.end(error)

    async def _admit(self, watcher: _Watcher) -> None:
        """Take a watcher in, and begin to look where it is the first one."""
        async with self._looking:
            if self._ended is not None:
                raise self._ended
            if len(self._watchers) >= MAX_WATCHERS:
                raise ResourceExhausted(f"no more than {MAX_WATCHERS} clients may watch the library; end one of them")
            await self._look()
            self._watchers.add(watcher)
            if self._looks is None:
                self._looks = asyncio.create_task(self._keep_looking(), name="library watch")

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._look_every_s)
            try:
                async with self._looking:
                    await self._look()
            except TownsfolkError as error:
                log.warning("the library cannot be watched: %s", error.message)
            except Exception:
                log.exception("the library cannot be watched")

    async def _look(self) -> None:
        residency = await residency_of(self._engine)
        self._seen, changes = await asyncio.to_thread(self._compare, residency, tell=bool(self._watchers))
        for change in changes:
            for watcher in self._watchers:
                watcher.tell(change)

    # ── off the event loop ───────────────────────────────────────────────────────────────────────────────────

    def _compare(self, residency: Residency, *, tell: bool) -> tuple[dict[str, _Seen], list[pb.WatchResponse]]:
        """The library now, and what is different from the last look if there is anybody to ``tell``."""
        now: dict[str, _Seen] = {}
        changes: list[pb.WatchResponse] = []
        for persona_id, stamp in self._library.stamps().items():
            before = self._seen.get(persona_id)
            if before is None or before.stamp != stamp:
                change = pb.PERSONA_CHANGE_ADDED if before is None else pb.PERSONA_CHANGE_CHANGED
                digest = self._digest(persona_id)
            else:
                change, digest = pb.PERSONA_CHANGE_ADAPTER_STATE, before.digest
            now[persona_id] = _Seen(stamp, digest, residency.state_of(digest))
            if tell and now[persona_id] != before:
                with suppress(NotFound):  # gone again: the next look tells
                    changes.append(self._told(change, persona_id, now[persona_id].state))
        gone = sorted(self._seen.keys() - now.keys()) if tell else []
        removed = [pb.WatchResponse(change=pb.PERSONA_CHANGE_REMOVED, persona=pb.Persona(id=name)) for name in gone]
        return now, changes + removed

    def _digest(self, persona_id: str) -> str:
        try:
            loaded, _ = self._library.look(persona_id)
        except NotFound:
            return ""
        return loaded.adapter.digest if loaded is not None and loaded.adapter is not None else ""

    def _existing(self, ids: list[str]) -> list[pb.WatchResponse]:
        told = []
        for persona_id in ids:
            seen = self._seen.get(persona_id)
            with suppress(NotFound):
                if seen is not None:
                    told.append(self._told(pb.PERSONA_CHANGE_EXISTING, persona_id, seen.state))
        return told

    def _told(self, change: pb.PersonaChange, persona_id: str, state: int) -> pb.WatchResponse:
        loaded, problems = self._library.look(persona_id)
        return pb.WatchResponse(change=change, persona=persona_message(persona_id, loaded, problems, state))
