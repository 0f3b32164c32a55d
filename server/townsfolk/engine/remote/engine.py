"""``RemoteEngine``: lines made by servers elsewhere, over HTTP, with the daemon's own promises.

It lives in the daemon's process: there is no model in it that could take the daemon down. Prompts are made here, token
by token, so the same personas speak the same way whatever makes their lines.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace

import httpx

from townsfolk.config import EngineSettings
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine import declared
from townsfolk.engine.interface import LineListener
from townsfolk.engine.json_schema import check_schema
from townsfolk.engine.messages import (
    MAX_TOP_TOKENS,
    AdapterLoaded,
    AdapterRef,
    Finished,
    Ready,
    SamplingParams,
    Started,
    Stats,
    Step,
    TokenLikelihood,
)
from townsfolk.engine.remote.adapter_store import AdapterStore
from townsfolk.engine.remote.dialects.base import Chunk, LineRequest
from townsfolk.engine.remote.endpoint import Endpoint, Held
from townsfolk.engine.remote.fleet import Fleet
from townsfolk.engine.remote.model_files import read_model_files
from townsfolk.engine.remote.prompt_text import PromptWriter
from townsfolk.engine.remote.server import Broken, Lost, Unknown, Unreachable, as_townsfolk_error
from townsfolk.errors import FailedPrecondition, InvalidArgument, Unavailable

log = logging.getLogger(__name__)

SEE_OFF_S = 0.5  # the end of a stream follows its last token at once
FIRST_PAUSE_S = 0.05  # before a line is tried again; doubles, and is spread at random


class _Line:
    """A line on its way to its listener, whichever server speaks it."""

    def __init__(self, request: LineRequest, ends: frozenset[int], listener: LineListener) -> None:
        self.request = request
        self.tokens = 0
        self.begun = False
        self.stop_token: TokenLikelihood | None = None
        self._asked = time.monotonic()
        self._ends = ends
        self._listener = listener
        self._cached = 0

    def hear(self, chunk: Chunk, step: Step) -> str:
        """Hand a chunk on. Returns why the line ends with it, or nothing."""
        self._cached = chunk.cached_tokens or self._cached
        for place, token in enumerate(chunk.token_ids):
            likelihood = None
            if self.request.top_tokens and place < len(chunk.likelihoods):
                likelihood = _checked(chunk.likelihoods[place], self.request.top_tokens)
            if token in self._ends:
                self.stop_token = likelihood
                return "stop"
            self.begin()
            self.tokens += 1
            self._listener.sampled(token, step, likelihood)
            if self.tokens >= self.request.sampling.max_tokens:
                return "length"
        return chunk.finish

    def begin(self) -> None:
        """Tell that the line was admitted, once."""
        if not self.begun:
            self.begun = True
            waited = time.monotonic() - self._asked
            self._listener.started(Started(0, len(self.request.prompt), self._cached, waited))


class RemoteEngine:
    """An ``Engine`` whose lines are made by the servers of ``[engine.remote]``.

    Args:
        settings: ``model`` names the files of the model that the servers run; its tokenizer is needed here.
        transport: for tests; how HTTP requests travel.

    Raises ``InvalidArgument`` for settings that cannot work.
    """

    name = "remote"

    def __init__(self, settings: EngineSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._transport = transport
        self._fleet: Fleet | None = None
        self._info: Ready | None = None
        self._tokenizer: TextTokenizer | None = None
        self._tasks: set[asyncio.Task[Finished]] = set()
        self._steps = self._decoded = self._prompted = self._cached = 0
        self._max_rows = self._max_adapters = 0
        self._adapters_per_step: Counter[int] = Counter()
        self._stopped = False
        Fleet.check(settings.remote)

    @property
    def ready(self) -> bool:
        return self._info is not None and not self._stopped and any(e.up and not e.draining for e in self.endpoints)

    @property
    def info(self) -> Ready:
        if self._info is None:
            raise Unavailable("the engine has not started yet", retry_after_s=1.0)
        return replace(self._info, capabilities=declared.remote(endpoint.own.server for endpoint in self.endpoints))

    @property
    def restarts(self) -> int:
        """How often a server came back after it had been lost."""
        return self._fleet.returns if self._fleet else 0

    @property
    def endpoints(self) -> list[Endpoint]:
        """The servers as they stand."""
        return self._fleet.endpoints if self._fleet else []

    async def start(self) -> None:
        """Read the tokenizer and find the servers. Returns when one is ready.

        Raises ``Unavailable`` when none is within ``start_timeout_s``, or why they cannot be used.
        """
        model = await asyncio.to_thread(read_model_files, self._settings.model)
        tokenizer = await asyncio.to_thread(TextTokenizer, model.tokenizer_json)
        remote = self._settings.remote
        writer = await asyncio.to_thread(PromptWriter, model.tokenizer_json, tokenizer, model.bos_id)
        store = AdapterStore(remote.adapter_store, remote.adapter_store_on_server, model.name, self._settings.max_rank)
        self._tokenizer = tokenizer
        self._fleet = Fleet(remote, lambda own: Endpoint(own, remote, tokenizer, writer, store, self._transport))
        try:
            await self._fleet.start(self._settings.start_timeout_s)
        except BaseException:
            await self._fleet.stop()
            raise
        contexts = [e.max_context for e in self.endpoints if e.up and e.max_context]
        self._info = Ready(
            model_name=model.name,
            family=model.family,
            device=", ".join(sorted({e.own.server for e in self.endpoints})),
            dtype="remote",
            max_context=min([self._settings.max_context, model.max_context, *contexts]),
            max_rank=self._settings.max_rank,
            tokenizer_json=model.tokenizer_json,
            bos_id=model.bos_id,
            eos_ids=model.eos_ids,
        )

    async def stop(self) -> None:
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._fleet is not None:
            await self._fleet.stop()

    async def generate(
        self,
        prompt: list[int],
        sampling: SamplingParams,
        stop_ids: list[int],
        listener: LineListener,
        adapter: AdapterRef | None = None,
        priority: int = 0,
        top_tokens: int = 0,
        json_schema: str = "",
    ) -> Finished:
        if not self.ready:
            raise Unavailable("no server of engine.remote takes lines now; try again shortly", retry_after_s=1.0)
        self._check(prompt, sampling, adapter, top_tokens, json_schema)
        assert self._tokenizer is not None
        names = [name for name, token in self._tokenizer.control_ids.items() if token in stop_ids]
        room = self.info.max_context - len(prompt)  # servers refuse what might not fit
        sampling = replace(sampling, max_tokens=min(sampling.max_tokens, room))
        request = LineRequest(
            "",
            prompt,
            "",
            sampling,
            stop_ids,
            names,
            ends_with_model=not set(self.info.eos_ids).isdisjoint(stop_ids) or bool(json_schema),
            priority=priority,
            top_tokens=top_tokens,
            json_schema=json_schema,
        )
        line = _Line(request, frozenset(stop_ids), listener)
        # a task of its own, so that `stop` can end it without cancelling the caller
        task = asyncio.create_task(self._speak(line, adapter))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and caller is not None and not caller.cancelling():
                raise Unavailable("the engine has been stopped") from None
            task.cancel()
            await asyncio.wait([task])
            raise

    async def load_adapter(self, adapter: AdapterRef) -> AdapterLoaded:
        """Have an adapter ready on the server that its next line would go to."""
        if self._fleet is None:
            raise Unavailable("the engine has not started yet", retry_after_s=1.0)
        endpoint = self._fleet.choose(adapter.digest, set(), self._needs(adapter, 0, ""))
        try:
            held = await endpoint.hold(adapter)
        except (Unreachable, Unknown) as error:
            raise as_townsfolk_error(error) from error
        return AdapterLoaded(0, adapter.digest, held.adapter.rank, held.adapter.bytes, resident=True)

    async def unload_adapter(self, digest: str) -> None:
        if any(endpoint.lines[digest] for endpoint in self.endpoints):
            raise FailedPrecondition("the adapter is in use by a line; cancel it or wait", field="adapter")
        for endpoint in self.endpoints:
            with suppress(Unreachable):  # it has forgotten everything
                await endpoint.unload(digest)

    async def stats(self) -> Stats:
        """What this daemon asked for and got; what other daemons ask of the same servers is not known."""
        held = sorted(set().union(*(endpoint.held for endpoint in self.endpoints)))
        return Stats(
            steps=self._steps,
            decode_tokens=self._decoded,
            prefill_tokens=self._prompted - self._cached,
            cached_prompt_tokens=self._cached,
            running=sum(endpoint.in_flight for endpoint in self.endpoints),
            max_rows=self._max_rows,
            max_adapters=self._max_adapters,
            adapters_per_step=dict(self._adapters_per_step),
            resident_adapters=held,
            adapter_loads=sum(endpoint.loads for endpoint in self.endpoints),
            adapter_evictions=sum(endpoint.evictions for endpoint in self.endpoints),
        )

    # ── one line ─────────────────────────────────────────────────────────────────────────────────────────────

    def _check(
        self, prompt: list[int], sampling: SamplingParams, adapter: AdapterRef | None, top_tokens: int, json_schema: str
    ) -> None:
        assert self._tokenizer is not None
        if not prompt:
            raise InvalidArgument("the prompt is empty", field="prompt")
        if len(prompt) >= self.info.max_context:
            raise InvalidArgument(
                f"the prompt has {len(prompt)} tokens, but the context holds {self.info.max_context}", field="prompt"
            )
        if min(prompt) < 0 or max(prompt) >= self._tokenizer.vocab_size:
            raise InvalidArgument("the prompt has a token id outside the vocabulary", field="prompt")
        if sampling.max_tokens < 1:
            raise InvalidArgument("max_tokens must be at least 1", field="max_tokens")
        if not 0 <= top_tokens <= MAX_TOP_TOKENS:
            raise InvalidArgument(f"top_tokens must be 0 to {MAX_TOP_TOKENS}", field="top_tokens")
        if adapter is not None and not math.isfinite(adapter.scale):
            raise InvalidArgument("the adapter's scale must be a number", field="adapter")
        if json_schema:
            check_schema(json_schema)

    @staticmethod
    def _needs(adapter: AdapterRef | None, top_tokens: int, json_schema: str) -> dict[str, str]:
        """Abilities of a server that a line needs, each with what it is called where there is none."""
        needs = {}
        if adapter is not None and adapter.scale != 1.0:
            needs["scales"] = "apply adapters at another scale than 1"
        if top_tokens:
            needs["likelihoods"] = "tell how likely tokens were"
        if json_schema:
            needs["guides"] = "follow a JSON schema"
        return needs

    async def _speak(self, line: _Line, ref: AdapterRef | None) -> Finished:
        """The line, from whichever server; tried again only while nobody has heard a token of it."""
        assert self._fleet is not None
        remote = self._settings.remote
        needs = self._needs(ref, line.request.top_tokens, line.request.json_schema)
        digest = ref.digest if ref else ""
        tried: set[str] = set()
        pause = FIRST_PAUSE_S
        endpoint = self._fleet.choose(digest, tried, needs, by_min_p=line.request.by_min_p)
        for left in range(remote.retries, -1, -1):
            try:
                return await self._attempt(line, endpoint, ref)
            except Lost as error:
                endpoint.lost(str(error))
                failure: Exception = error
            except Unreachable as error:
                endpoint.look_now.set()
                failure = error
            except Unknown as error:
                endpoint.forget(digest)
                failure = error
            if line.begun or not left:
                raise as_townsfolk_error(failure) from failure
            log.warning("a line is tried again: %s", failure)
            if not isinstance(failure, Unknown):  # whoever forgot an adapter may load it again
                tried.add(endpoint.url)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause *= 2
            endpoint = self._fleet.choose(digest, tried, needs, by_min_p=line.request.by_min_p)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, line: _Line, endpoint: Endpoint, ref: AdapterRef | None) -> Finished:
        digest = ref.digest if ref else ""
        held: Held | None = None
        endpoint.lines[digest] += 1  # from here on, so that others see where the line goes
        try:
            if ref is not None:
                held = await endpoint.hold(ref)
            request = endpoint.request(line.request, held, ref.scale if ref else 1.0)
            async with aclosing(endpoint.speak(request)) as chunks:
                async for chunk in chunks:
                    chunk = self._with_ids(chunk)
                    reason = line.hear(chunk, self._step(endpoint, chunk))
                    if reason:
                        cached = await _see_off(chunks, chunk)
                        return self._finish(line, reason, cached)
            raise Broken(f"{endpoint.url} ended the stream before the line's end")
        except InvalidArgument as error:
            if held is not None and not line.begun and not await endpoint.still_holds(held):
                raise Unknown(error.message) from error
            raise
        finally:
            endpoint.lines[digest] -= 1
            endpoint.lines += Counter()  # without the adapters that no line uses

    def _with_ids(self, chunk: Chunk) -> Chunk:
        """A chunk whose server told no ids: its text's tokens, which may be others than were sampled."""
        if chunk.token_ids or not chunk.text:
            return chunk
        assert self._tokenizer is not None
        return replace(chunk, token_ids=self._tokenizer.encode(chunk.text), log_probabilities=[], likelihoods=[])

    def _step(self, endpoint: Endpoint, chunk: Chunk) -> Step:
        """The step as far as it can be told from here: the lines that this daemon has at that server."""
        rows = endpoint.in_flight
        adapters = sum(1 for digest, count in endpoint.lines.items() if digest and count)
        if chunk.token_ids:
            self._steps += 1
            self._decoded += len(chunk.token_ids)
            self._max_rows, self._max_adapters = max(self._max_rows, rows), max(self._max_adapters, adapters)
            self._adapters_per_step[adapters] += 1
        return Step(self._steps, rows, adapters, time.time_ns())

    def _finish(self, line: _Line, reason: str, cached: int) -> Finished:
        line.begin()
        self._prompted += len(line.request.prompt)
        self._cached += cached
        if reason not in ("stop", "length"):
            raise Unavailable(f"the server gave the line up ({reason})", retry_after_s=1.0)
        return Finished(0, reason, line.tokens, line.stop_token)


async def _see_off(chunks: AsyncGenerator[Chunk, None], last: Chunk) -> int:
    """Let a stream end whose line has ended, so that its connection serves another. Returns its cached tokens.

    A server that goes on speaking is cut short: the stream is closed when the caller closes ``chunks``.
    """
    cached = last.cached_tokens or 0
    with suppress(Unreachable, TimeoutError):
        async with asyncio.timeout(SEE_OFF_S):
            async for chunk in chunks:
                if chunk.token_ids or chunk.text:
                    break
                cached = chunk.cached_tokens or cached
    return cached


def _checked(likelihood: TokenLikelihood, top_tokens: int) -> TokenLikelihood:
    """No more candidates than were asked for."""
    return replace(
        likelihood,
        candidate_ids=likelihood.candidate_ids[:top_tokens],
        candidate_log_probabilities=likelihood.candidate_log_probabilities[:top_tokens],
    )
