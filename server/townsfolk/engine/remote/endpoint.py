"""One server as the daemon sees it: whether it is well, which adapters it holds, what it is saying."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import httpx

from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine.messages import AdapterRef
from townsfolk.engine.remote.adapter_store import AdapterStore, digest_suffix
from townsfolk.engine.remote.dialects.base import Chunk, LineRequest, RemoteAdapter
from townsfolk.engine.remote.dialects.kinds import DIALECTS
from townsfolk.engine.remote.probe import PROBE_SAMPLING, PROBE_TEXT, ProbeLine, check_adapter, check_tokenizer
from townsfolk.engine.remote.prompt_text import PromptWriter
from townsfolk.engine.remote.server import Broken, Server, Unknown, Unreachable, raise_for_event
from townsfolk.engine.remote.settings import EndpointSettings, RemoteSettings
from townsfolk.errors import FailedPrecondition, TownsfolkError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """An adapter that the server holds: its name there, which may bear another label, and what lines call it."""

    adapter: RemoteAdapter
    name: str
    handle: Any


class Endpoint:
    """A server, its health and its adapters. ``lines`` counts those in flight, by adapter digest ("" for none)."""

    def __init__(
        self,
        own: EndpointSettings,
        settings: RemoteSettings,
        tokenizer: TextTokenizer,
        writer: PromptWriter,
        store: AdapterStore,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.own = own
        self.dialect = DIALECTS[own.server]
        self.up = False
        self.draining = own.draining
        self.refused: TownsfolkError | None = None  # why it may not be used although it answers
        self.returns = 0
        self.model = own.model
        self.max_context = 0
        self.lines: Counter[str] = Counter()
        self.loads = self.evictions = 0
        self.look_now = asyncio.Event()
        self._told_of_min_p = False
        self._settings = settings
        self._tokenizer = tokenizer
        self._writer = writer
        self._store = store
        self._server = Server(own.url, settings, transport)
        self._held: OrderedDict[str, Held] = OrderedDict()  # the least recently used first
        self._handles: dict[str, Any] = {}
        self._base: ProbeLine | None = None
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def url(self) -> str:
        return self.own.url

    @property
    def in_flight(self) -> int:
        return self.lines.total()

    @property
    def takes_lines(self) -> bool:
        """Whether a new line may go there now."""
        return self.up and not self.draining and self.in_flight < self._settings.max_lines

    @property
    def held(self) -> frozenset[str]:
        """Digests of the adapters that are ready for lines there."""
        return frozenset(self._held)

    async def close(self) -> None:
        await self._server.close()

    # ── health ───────────────────────────────────────────────────────────────────────────────────────────────

    async def look(self) -> None:
        """Ask whether the server is well; get to know it when it has come up. Never raises."""
        try:
            await self._server.ask("GET", self.dialect.health_path)
            if self.up:
                await self._compare_adapters()
            else:
                await self._get_to_know()
                log.info("%s (%s) serves %s", self.url, self.dialect.name, self.model)
                self.up, self.refused = True, None
        except TownsfolkError as error:
            self._down(error.message)
            self.refused = error
        except (Unreachable, Unknown) as error:
            self._down(str(error))
        except Exception as error:  # an answer of a shape that no version of it is known to give
            log.exception("%s gave an answer that is not understood", self.url)
            self._down(f"{type(error).__name__}: {error}")

    def lost(self, reason: str) -> None:
        """Nobody listens there: trust nothing that was known until the server has been looked at again."""
        self._down(reason)
        self.look_now.set()

    def _down(self, reason: str) -> None:
        if self.up:
            log.warning("%s takes no lines: %s", self.url, reason)
        self.up = False
        self._held.clear()

    async def _get_to_know(self) -> None:
        models = await self.dialect.models(self._server)
        base = [model for model in models if not model.get("parent")] or models
        if not base:
            raise FailedPrecondition(f"{self.url} lists no model", field="engine.remote")
        chosen = next((model for model in base if model["id"] == self.own.model), base[0])
        self.model = self.own.model or str(chosen["id"])
        self.max_context = int(chosen.get("max_model_len") or 0)
        self._handles = await self.dialect.adapters(self._server)
        self._base = await self._probe(None)
        check_tokenizer(self.url, self._base, self._tokenizer)

    # ── adapters ─────────────────────────────────────────────────────────────────────────────────────────────

    async def hold(self, ref: AdapterRef) -> Held:
        """Have the adapter ready for lines: found there or loaded, and verified.

        Raises what ``Server`` and ``AdapterStore.place`` raise, and ``FailedPrecondition`` where the server cannot
        have it.
        """
        lock = self._locks.setdefault(ref.digest, asyncio.Lock())
        async with lock:
            held = self._held.get(ref.digest)
            if held is None:
                adapter = await asyncio.to_thread(
                    self._store.place,
                    ref,
                    needs_store=self.dialect.needs_store,
                    honours_patterns=self.dialect.honours_patterns,
                )
                held = await self._load(adapter)
                if self._settings.verify_adapters:
                    await self._verify(held)
                self._held[ref.digest] = held
                self.loads += 1
                await self._make_room()
            self._held.move_to_end(ref.digest)
            return held

    async def _load(self, adapter: RemoteAdapter) -> Held:
        self._handles = await self.dialect.adapters(self._server)
        for name, handle in self._handles.items():
            if name.endswith(digest_suffix(adapter.digest)):
                return Held(adapter, name, handle)
        if not self._settings.push_adapters and self.dialect.lists_adapters:
            raise FailedPrecondition(
                f"{self.url} has no adapter {adapter.name}, and engine.remote.push_adapters is off", field="adapter"
            )
        handle = await self.dialect.load(self._server, adapter, self._settings.load_timeout_s)
        self._handles[adapter.name] = handle
        return Held(adapter, adapter.name, handle)

    async def _verify(self, held: Held) -> None:
        line = await self._probe(held)
        assert self._base is not None
        try:
            check_adapter(self.url, held.name, line, self._base)
        except FailedPrecondition:
            await self.dialect.unload(self._server, held.name, held.handle)
            raise

    async def still_holds(self, held: Held) -> bool:
        """Ask the server whether an adapter is still there; true where it does not tell."""
        return not self.dialect.lists_adapters or held.name in await self.dialect.adapters(self._server)

    async def _compare_adapters(self) -> None:
        """Notice adapters that went, or changed their number, because the server was started anew unseen."""
        if self.dialect.lists_adapters and self._held:
            self._handles = await self.dialect.adapters(self._server)
            for digest, held in list(self._held.items()):
                if self._handles.get(held.name) != held.handle:
                    self.forget(digest)

    async def _make_room(self) -> None:
        while len(self._held) > self._settings.max_adapters:
            digest = next((d for d in self._held if not self.lines[d]), None)
            if digest is None:
                return
            self.evictions += 1
            await self.unload(digest)

    def forget(self, digest: str) -> None:
        """The server turned out not to have an adapter that it was thought to hold."""
        self._held.pop(digest, None)

    async def unload(self, digest: str) -> None:
        """Have an adapter forgotten. Raises ``FailedPrecondition`` while a line uses it."""
        if self.lines[digest]:
            raise FailedPrecondition("the adapter is in use by a line; cancel it or wait", field="adapter")
        held = self._held.pop(digest, None)
        if held is not None:
            self._handles.pop(held.name, None)
            if self._settings.push_adapters:
                await self.dialect.unload(self._server, held.name, held.handle)

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────────────

    def request(self, line: LineRequest, held: Held | None, scale: float = 1.0) -> LineRequest:
        """The line as this server is asked for it."""
        if line.by_min_p and not self.dialect.draws_by_min_p:
            self._tell_of_min_p()
        return replace(
            line,
            model=self.model,
            prompt_text="" if self.dialect.takes_token_ids else self._writer.write(line.prompt),
            adapter=replace(held.adapter, scale=scale) if held else None,
            handle=held.handle if held else None,
            handles=self._handles,
            priority=line.priority if self._settings.send_priority else None,
        )

    def _tell_of_min_p(self) -> None:
        if not self._told_of_min_p:
            self._told_of_min_p = True
            log.warning("%s (%s) has no min_p; lines that set it are drawn without it", self.url, self.dialect.name)

    async def speak(self, request: LineRequest) -> AsyncGenerator[Chunk, None]:
        """The line's chunks. Closing it early makes the server stop. Raises what ``Server`` raises."""
        path, body = self.dialect.line(request)
        async with aclosing(self._server.events(path, body)) as events:
            async for event in events:
                raise_for_event(self.url, event)
                try:
                    chunk = self.dialect.chunk(event)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise Broken(f"{self.url} sent an event that is not understood: {error!r}") from error
                yield chunk

    async def _probe(self, held: Held | None) -> ProbeLine:
        prompt = self._tokenizer.encode(PROBE_TEXT)
        likely = 1 if self.dialect.log_probabilities else 0
        line = LineRequest("", prompt, "", PROBE_SAMPLING, [], [], top_tokens=likely)
        async with aclosing(self.speak(self.request(line, held))) as chunks:
            return ProbeLine.of([chunk async for chunk in chunks])
