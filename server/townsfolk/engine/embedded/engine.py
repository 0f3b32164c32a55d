"""The engine proper: one base model, many adapters, one step at a time.

``EmbeddedEngine`` is synchronous and single-threaded; ``worker.py`` drives it in a process of its own. Everything that
ends a line (stop token, length, cancel) goes through ``_release``, which frees its row, its pin and nothing else.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from townsfolk.config import EngineSettings
from townsfolk.engine import declared
from townsfolk.engine.embedded.adapter_pool import AdapterPool, HostAdapter, HostAdapters
from townsfolk.engine.embedded.backend import make_backend
from townsfolk.engine.embedded.checkpoint import Checkpoint, fingerprint
from townsfolk.engine.embedded.decoder import PromptChunk, Step
from townsfolk.engine.embedded.guide import mask_logits
from townsfolk.engine.embedded.json_grammar import Grammar, GrammarCompiler
from townsfolk.engine.embedded.likelihood import StepLikelihoods
from townsfolk.engine.embedded.peft_adapter import read_adapter
from townsfolk.engine.embedded.prefix_cache import PrefixCache
from townsfolk.engine.embedded.sampler import SamplingBatch, sample
from townsfolk.engine.embedded.scheduler import Phase, Placement, Scheduler, Sequence
from townsfolk.engine.messages import (
    MAX_TOP_TOKENS,
    AdapterLoaded,
    AdapterRef,
    CallDone,
    CallFailed,
    Finished,
    Generate,
    Ready,
    RequestFailed,
    Started,
    Stats,
    Token,
    TokenLikelihood,
)
from townsfolk.errors import InvalidArgument, ResourceExhausted, TownsfolkError

log = logging.getLogger(__name__)

SHARED_PREFIX_WORTH_WAITING = 16  # tokens: below this, reading a prefix twice is cheaper than waiting for the other


class EmbeddedEngine:
    """Decodes lines of different adapters in the same steps.

    Args:
        checkpoint: the opened base model.
        settings: limits and sizes.
        device, dtype: where and in what precision to compute.
        wake: called from another thread when an adapter or a JSON schema has been read, so that a sleeping driver steps
            again.

    Events (``Started``, ``Token``, ``Finished``, ``RequestFailed``, answers to calls) collect until ``take_events``.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        settings: EngineSettings,
        device: torch.device,
        dtype: torch.dtype,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        spec = checkpoint.spec
        self.spec, self.settings, self.device, self.dtype = spec, settings, device, dtype
        self.fingerprint = fingerprint(checkpoint)
        self.max_context = min(settings.max_context, spec.max_context)
        columns = max(settings.adapter_columns, settings.max_rank)
        backend = make_backend(checkpoint, settings, self.max_context, columns, device, dtype)
        self.decoder, self.kv = backend.decoder, backend.kv
        self.pool = AdapterPool(columns, settings.adapter_slots, backend.adapters)
        self._adapter_dtype = backend.adapter_dtype
        self._find_candidates = backend.find_candidates
        self.host = HostAdapters(settings.host_adapter_bytes)
        self.prefixes = PrefixCache(spec, settings.prefix_cache_tokens, self.kv.keys.dtype, device)
        self.grammars = GrammarCompiler(checkpoint.tokenizer_json, checkpoint.eos_ids, spec.vocab_size, wake)
        self.scheduler = Scheduler(settings.max_running, settings.max_waiting, settings.prefill_chunk)
        self._seen = torch.zeros(settings.max_running, spec.vocab_size, dtype=torch.bool, device=device)
        self._checkpoint = checkpoint
        self._wake = wake
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="adapter-reader")
        self._reading: dict[str, Future[HostAdapter]] = {}
        self._load_calls: list[tuple[int, AdapterRef]] = []
        self._events: list[Any] = []
        self._stats: Counter[str] = Counter()
        self._adapters_per_step: Counter[int] = Counter()
        self._busy_s = 0.0

    # ── what the driver calls ────────────────────────────────────────────────────────────────────────────────

    def ready(self) -> Ready:
        """What a daemon must know of the loaded model."""
        return Ready(
            model_name=self.spec.name,
            family=self.spec.family,
            device=str(self.device),
            dtype=str(self.dtype).removeprefix("torch."),
            max_context=self.max_context,
            max_rank=self.settings.max_rank,
            tokenizer_json=self._checkpoint.tokenizer_json,
            bos_id=self._checkpoint.bos_id,
            eos_ids=self._checkpoint.eos_ids,
            max_batch_rows=self.settings.max_running,
            max_batch_adapters=self.settings.adapter_slots,
            capabilities=declared.EMBEDDED,
        )

    def submit(self, request: Generate) -> None:
        """Queue a line; a bad or surplus one is answered by ``RequestFailed``."""
        try:
            self._check(request)
            if self.scheduler.full:
                raise ResourceExhausted("the engine's queue is full; try again shortly", retry_after_s=1.0)
            grammar = self.grammars.compile(request.json_schema) if request.json_schema else None
        except TownsfolkError as error:
            self._fail(request.request_id, error)
            return
        self.scheduler.add(Sequence(request, arrived=time.monotonic(), grammar=grammar))

    def cancel(self, request_id: int) -> None:
        """End a line now. Unknown ids are ignored: the line may just have ended."""
        sequence = self.scheduler.find(request_id)
        if sequence is not None:
            self._finish(sequence, "cancelled")

    def load_adapter(self, call_id: int, adapter: AdapterRef) -> None:
        """Read an adapter and put it into a slot if there is room; answered by ``AdapterLoaded`` or ``CallFailed``."""
        self._load_calls.append((call_id, adapter))
        self._start_reading(adapter)

    def unload_adapter(self, call_id: int, digest: str) -> None:
        """Forget an adapter and all that was computed with it; refused while a line uses it."""
        slot = self.pool.find(digest)
        if slot is not None and slot.pins:
            message = f"the adapter is in use by {slot.pins} lines; cancel them or wait"
            self._events.append(CallFailed(call_id, "FAILED_PRECONDITION", message, "adapter"))
            return
        if slot is not None:
            self.pool.evict(digest)
        self.host.remove(digest)
        self.prefixes.forget(digest)
        self._events.append(CallDone(call_id))

    def answer_stats(self, call_id: int) -> None:
        """Put the counters among the events."""
        self._events.append(self.stats(call_id))

    def stats(self, call_id: int = 0) -> Stats:
        """Counters since the start, and the state now."""
        return Stats(
            call_id=call_id,
            steps=self._stats["steps"],
            decode_tokens=self._stats["decode_tokens"],
            prefill_tokens=self._stats["prefill_tokens"],
            cached_prompt_tokens=self._stats["cached_prompt_tokens"],
            running=len(self.scheduler.running),
            waiting=len(self.scheduler.waiting),
            max_rows=self._stats["max_rows"],
            max_adapters=max(self._adapters_per_step, default=0),
            adapters_per_step=dict(self._adapters_per_step),
            resident_adapters=self.pool.resident,
            host_adapters=self.host.digests,
            prefix_cache_tokens=self.prefixes.used,
            prefix_cache_capacity=self.prefixes.capacity,
            adapter_loads=self.pool.loads,
            adapter_evictions=self.pool.evictions,
            busy_s=self._busy_s,
        )

    def take_events(self) -> list[Any]:
        """Everything that happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    @property
    def runnable(self) -> bool:
        """Whether ``step`` may have something to do at once (adapters being read will call ``wake``)."""
        return bool(self.scheduler.running or self.scheduler.waiting or self._load_calls)

    @torch.inference_mode()
    def step(self) -> bool:
        """Admit, compute one forward pass, hand out tokens. Returns whether a pass was computed."""
        started = time.perf_counter()
        self._answer_load_calls()
        for sequence in self.scheduler.admit(self._place, time.monotonic()):
            queued = time.monotonic() - sequence.arrived
            self._events.append(Started(sequence.id, len(sequence.request.prompt), sequence.cached, queued))
        decoding = self.scheduler.decoding()
        chunks = self.scheduler.chunks()
        if not decoding and not chunks:
            return False
        finishing = [s for s, count in chunks if s.computed + count == len(s.request.prompt)]
        logits = self.decoder.forward(self._assemble(decoding, chunks), self.kv, self.pool)
        self._count(decoding, chunks)
        for sequence in decoding:
            sequence.computed += 1
        for sequence, count in chunks:
            sequence.computed += count
        for sequence in finishing:
            sequence.phase = Phase.DECODE
            self.prefixes.insert(sequence.tree_key, sequence.request.prompt, self.kv, sequence.row)
        sampled = decoding + finishing
        if sampled:
            self._hand_out(sampled, *self._sample(sampled, logits), decoding)
        self._busy_s += time.perf_counter() - started
        return True

    def close(self) -> None:
        """Stop all threads; the engine is of no use afterwards."""
        self._reader.shutdown(wait=False, cancel_futures=True)
        self.grammars.close()
        self.decoder.close()

    def abandon(self) -> None:
        """Nothing outlives the process: threads end with it."""

    def check_integrity(self) -> None:
        """Raise ``RuntimeError`` unless every row, pin and cache entry is accounted for."""
        running = self.scheduler.running
        if [s.row for s in running] != list(range(len(running))):
            raise RuntimeError(f"rows are not packed: {[s.row for s in running]}")
        self.pool.check_integrity(pins=sum(s.slot is not None for s in running))
        self.prefixes.check_integrity()

    # ── admission ────────────────────────────────────────────────────────────────────────────────────────────

    def _check(self, request: Generate) -> None:
        if not request.prompt:
            raise InvalidArgument("the prompt is empty", field="prompt")
        if len(request.prompt) >= self.max_context:
            raise InvalidArgument(
                f"the prompt has {len(request.prompt)} tokens, but the context holds {self.max_context}",
                field="prompt",
            )
        if min(request.prompt) < 0 or max(request.prompt) >= self.spec.vocab_size:
            raise InvalidArgument("the prompt has a token id outside the vocabulary", field="prompt")
        if request.sampling.max_tokens < 1:
            raise InvalidArgument("max_tokens must be at least 1", field="max_tokens")
        if not 0 <= request.top_tokens <= MAX_TOP_TOKENS:
            raise InvalidArgument(f"top_tokens must be 0 to {MAX_TOP_TOKENS}", field="top_tokens")
        if request.adapter is not None and not math.isfinite(request.adapter.scale):
            raise InvalidArgument("the adapter's scale must be a number", field="adapter")

    def _place(self, sequence: Sequence) -> Placement:
        """Pin the adapter's slot and copy the known prefix into the row, or say why not yet."""
        if sequence.grammar is not None and sequence.guide is None:
            placement = self._make_guide(sequence, sequence.grammar)
            if placement is not Placement.PLACED:
                return placement
        adapter = sequence.request.adapter
        if adapter is not None:
            placement = self._make_resident(sequence, adapter)
            if placement is not Placement.PLACED:
                return placement
        reusable = sequence.request.prompt[:-1]  # the last token must be computed: its logits are the first to sample
        entries = self.prefixes.match(sequence.tree_key, reusable)
        if self._being_read(sequence, reusable) >= len(entries) + SHARED_PREFIX_WORTH_WAITING:
            return Placement.NOT_READY
        if adapter is not None:
            sequence.slot = self.pool.pin(adapter.digest)
        if entries:
            self.kv.load(sequence.row, self.prefixes.read(entries))
        sequence.computed = sequence.cached = len(entries)
        self._stats["cached_prompt_tokens"] += len(entries)
        self._seen[sequence.row].zero_()
        self._seen[sequence.row, torch.tensor(sequence.request.prompt, device=self.device)] = True
        return Placement.PLACED

    def _being_read(self, sequence: Sequence, prompt: list[int]) -> int:
        """How many leading tokens of the prompt another line of the same adapter is reading just now."""
        shared = 0
        for other in self.scheduler.running:
            if other.phase is Phase.PREFILL and other.tree_key == sequence.tree_key:
                length = 0
                for ours, theirs in zip(prompt, other.request.prompt, strict=False):
                    if ours != theirs:
                        break
                    length += 1
                shared = max(shared, length)
        return shared

    def _make_guide(self, sequence: Sequence, grammar: Future[Grammar]) -> Placement:
        if not grammar.done():
            return Placement.NOT_READY
        try:
            sequence.guide = grammar.result().guide(sequence.request.stop_ids)
        except TownsfolkError as error:
            self._fail(sequence.id, error)
            return Placement.FAILED
        return Placement.PLACED

    def _make_resident(self, sequence: Sequence, adapter: AdapterRef) -> Placement:
        if self.pool.find(adapter.digest) is not None:
            return Placement.PLACED
        weights = self.host.get(adapter.digest)
        if weights is None:
            try:
                weights = self._read_result(adapter)
            except TownsfolkError as error:
                self._fail(sequence.id, error)
                return Placement.FAILED
            if weights is None:
                return Placement.NOT_READY
        return Placement.PLACED if self.pool.insert(weights) is not None else Placement.NO_ROOM

    # ── adapters from disk ───────────────────────────────────────────────────────────────────────────────────

    def _start_reading(self, adapter: AdapterRef) -> Future[HostAdapter]:
        """Read an adapter on the reader thread, so that no step waits for a disk."""
        if adapter.digest not in self._reading:
            future = self._reader.submit(self._read_and_prepare, adapter)
            self._reading[adapter.digest] = future
            future.add_done_callback(lambda _: self._wake())
        return self._reading[adapter.digest]

    def _read_and_prepare(self, adapter: AdapterRef) -> HostAdapter:
        weights = read_adapter(
            Path(adapter.path),
            adapter.digest,
            self.spec,
            self.fingerprint,
            self._adapter_dtype,
            self.settings.max_rank,
        )
        return self.pool.storage.prepare(weights)

    def _read_result(self, adapter: AdapterRef) -> HostAdapter | None:
        """The adapter once it has been read, ``None`` before; raises what reading it raised."""
        future = self._start_reading(adapter)
        if not future.done():
            return None
        del self._reading[adapter.digest]
        weights = future.result()
        self.host.put(weights)
        return weights

    def _answer_load_calls(self) -> None:
        waiting: list[tuple[int, AdapterRef]] = []
        for call_id, adapter in self._load_calls:
            try:
                weights = self.host.get(adapter.digest) or self._read_result(adapter)
            except TownsfolkError as error:
                self._events.append(CallFailed(call_id, error.status, error.message, error.field))
                continue
            if weights is None:
                waiting.append((call_id, adapter))
                continue
            resident = self.pool.insert(weights) is not None
            self._events.append(AdapterLoaded(call_id, weights.digest, weights.rank, weights.bytes, resident))
        self._load_calls = waiting

    # ── one step ─────────────────────────────────────────────────────────────────────────────────────────────

    def _assemble(self, decoding: list[Sequence], chunks: list[tuple[Sequence, int]]) -> Step:
        tokens = [s.next_token for s in decoding]
        positions = [s.computed for s in decoding]
        rows = [s.row for s in decoding]
        sampled = list(range(len(decoding)))
        prompt_chunks: list[PromptChunk] = []
        for sequence, count in chunks:
            start, begin = len(tokens), sequence.computed
            tokens += sequence.request.prompt[begin : begin + count]
            positions += range(begin, begin + count)
            rows += [sequence.row] * count
            prompt_chunks.append(PromptChunk(sequence.row, start, len(tokens), begin, sequence.slot, sequence.scale))
            if begin + count == len(sequence.request.prompt):
                sampled.append(len(tokens) - 1)
        return Step(
            tokens=self._integers(tokens),
            positions=self._integers(positions),
            rows=self._integers(rows),
            decode_count=len(decoding),
            decode_slots=[s.slot for s in decoding],
            decode_scales=[s.scale for s in decoding],
            chunks=prompt_chunks,
            row_count=max((s.row for s in decoding), default=-1) + 1,
            longest=max((s.computed for s in decoding), default=0) + 1,
            sampled=self._integers(sampled),
        )

    def _sample(self, sequences: list[Sequence], logits: torch.Tensor) -> tuple[list[int], dict[int, TokenLikelihood]]:
        """The next token of each sequence, and by its index there the likelihood where it was asked for."""
        likelihoods = StepLikelihoods.of(logits, [s.request.top_tokens for s in sequences])
        guided = [index for index, s in enumerate(sequences) if s.guide is not None]
        if guided:
            mask_logits(logits, guided, [guide for s in sequences if (guide := s.guide) is not None])
        rows = self._integers([s.row for s in sequences])
        batch = SamplingBatch.of(
            [s.request.sampling for s in sequences], [len(s.generated) for s in sequences], self.device
        )
        tokens = sample(logits, batch, [self._seen[s.row] for s in sequences], self._find_candidates)
        self._seen[rows, tokens] = True
        ids: list[int] = tokens.tolist()
        return ids, likelihoods.of_sampled(tokens) if likelihoods is not None else {}

    def _hand_out(
        self,
        sequences: list[Sequence],
        tokens: list[int],
        likelihoods: dict[int, TokenLikelihood],
        decoding: list[Sequence],
    ) -> None:
        step, rows = self._stats["steps"], len(decoding)
        adapters = _different_adapters(decoding)
        for index, (sequence, token) in enumerate(zip(sequences, tokens, strict=True)):
            likelihood = likelihoods.get(index)
            guide = sequence.guide
            if guide.ends_with(token) if guide is not None else token in sequence.request.stop_ids:
                self._finish(sequence, "stop", likelihood)
                continue
            if guide is not None and (error := guide.consume(token)) is not None:
                self._fail(sequence.id, error)
                self._release(sequence)
                continue
            sequence.generated.append(token)
            self._events.append(Token(sequence.id, token, step, rows, adapters, likelihood))
            if guide is not None and guide.complete:
                self._finish(sequence, "stop")
                continue
            at_length = len(sequence.generated) >= sequence.request.sampling.max_tokens
            if at_length or sequence.computed >= self.max_context:
                self._finish(sequence, "length")

    def _finish(self, sequence: Sequence, reason: str, stop_token: TokenLikelihood | None = None) -> None:
        self._events.append(Finished(sequence.id, reason, len(sequence.generated), stop_token))
        self._release(sequence)

    def _release(self, sequence: Sequence) -> None:
        """Free what a line holds, keeping what it computed for the next turn; the last row closes the gap."""
        if sequence.row >= 0:
            self.prefixes.insert(sequence.tree_key, sequence.tokens[: sequence.computed], self.kv, sequence.row)
            if sequence.slot is not None:
                self.pool.unpin(sequence.slot.digest)
                sequence.slot = None
        moved_from = self.scheduler.remove(sequence)
        if moved_from is not None:
            moved = self.scheduler.running[sequence.row]
            self.kv.move(moved_from, sequence.row, moved.computed)
            self._seen[sequence.row].copy_(self._seen[moved_from])

    def _fail(self, request_id: int, error: TownsfolkError) -> None:
        self._events.append(RequestFailed(request_id, error.status, error.message, error.field, error.retry_after_s))

    def _count(self, decoding: list[Sequence], chunks: list[tuple[Sequence, int]]) -> None:
        self._stats["steps"] += 1
        self._stats["decode_tokens"] += len(decoding)
        self._stats["prefill_tokens"] += sum(count for _, count in chunks)
        self._stats["max_rows"] = max(self._stats["max_rows"], len(decoding))
        if decoding:
            self._adapters_per_step[_different_adapters(decoding)] += 1

    def _integers(self, values: list[int]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int64).to(self.device, non_blocking=True)


def _different_adapters(sequences: list[Sequence]) -> int:
    return len({s.slot.digest for s in sequences if s.slot is not None})
