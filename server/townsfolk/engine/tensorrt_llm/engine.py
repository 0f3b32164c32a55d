"""The engine over TensorRT-LLM: which lines are handed over when, and what comes back from them.

TensorRT-LLM batches by itself; it has to be asked from an event loop, which runs here in a thread of its own. The
worker's thread hands messages over and takes events; it also builds the model anew when too many adapters were read.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from townsfolk.config import EngineSettings
from townsfolk.engine import declared
from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.engine.json_schema import check_schema
from townsfolk.engine.messages import (
    AdapterLoaded,
    AdapterRef,
    CallDone,
    CallFailed,
    Finished,
    Generate,
    Ready,
    RequestFailed,
    SamplingParams,
    Started,
    Stats,
)
from townsfolk.engine.tensorrt_llm import api
from townsfolk.engine.tensorrt_llm.adapter_shelf import AdapterShelf, ShelvedAdapter
from townsfolk.engine.tensorrt_llm.adapter_table import AdapterTable
from townsfolk.engine.tensorrt_llm.kept_prefix import KeptPrefixes
from townsfolk.engine.tensorrt_llm.line import Line, WarmUp
from townsfolk.engine.tensorrt_llm.options import LineOptions, LoadedAdapter, ModelOptions, Update
from townsfolk.engine.tensorrt_llm.steps import Said, Steps
from townsfolk.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    ResourceExhausted,
    TownsfolkError,
)

log = logging.getLogger(__name__)

CLOSE_S = 20.0  # for an orderly end; the daemon waits longer before it kills this process
ABANDON_S = 10.0  # for TensorRT-LLM's own processes to end when the daemon is gone
ONE_TOKEN = SamplingParams(temperature=0.0, max_tokens=1)


class Phase(Enum):
    """Where building the model anew stands."""

    SERVING = auto()
    REBUILD_DUE = auto()  # nothing runs; the driver's thread has to do it
    REBUILT = auto()  # done, and not heard of in the loop yet


@dataclass(frozen=True)
class ServedModel:
    """What must be known of the model beside what TensorRT-LLM reads itself."""

    spec: ModelSpec
    fingerprint: str
    dtype: str
    tokenizer_json: str
    bos_id: int
    eos_ids: list[int]


class TensorRtLlmEngine:
    """Lines of different adapters in TensorRT-LLM's batches.

    Args:
        model: facts about the model that ``options`` names.
        settings: limits and sizes.
        options: how TensorRT-LLM loads it.
        wake: called from another thread when there are events to take, or a rebuild to ``step`` through.

    Raises whatever TensorRT-LLM raises while it loads the model.
    """

    def __init__(
        self, model: ServedModel, settings: EngineSettings, options: ModelOptions, wake: Callable[[], None]
    ) -> None:
        self.spec, self.settings, self.max_context = model.spec, settings, options.max_context
        self._model, self._options, self._wake = model, options, wake
        self._capabilities = declared.tensorrt_llm(settings)
        self._table = AdapterTable(settings.tensorrt_llm.max_distinct_adapters)
        self._shelf = AdapterShelf(model.spec, model.fingerprint, settings.max_rank)
        self._prefixes = KeptPrefixes(settings.tensorrt_llm.max_distinct_adapters)
        self._waiting: list[Line | WarmUp] = []
        self._running: dict[int, Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # all that is in TensorRT-LLM's hands
        self._checking: dict[str, asyncio.Task[None]] = {}
        self._shelved: dict[str, ShelvedAdapter] = {}
        self._steps = Steps()
        self._prefill_tokens = self._cached_tokens = self._decode_tokens = 0
        self._busy_s, self._busy_since = 0.0, 0.0
        self._phase = Phase.SERVING
        self._arrived: list[Any] = []  # events of this turn of the loop
        self._events: list[Any] = []
        self._events_lock = threading.Lock()
        self._fatal: BaseException | None = None
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="adapter-reader")
        self._llm = api.load(options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tensorrt-llm-lines", daemon=True)
        self._thread.start()

    # ── what the driver calls, in its own thread ─────────────────────────────────────────────────────────────

    def ready(self) -> Ready:
        """What a daemon must know of the loaded model."""
        return Ready(
            model_name=self.spec.name,
            family=self.spec.family,
            device="cuda" if self._options.tensor_parallel == 1 else f"cuda x {self._options.tensor_parallel}",
            dtype=self._model.dtype,
            max_context=self.max_context,
            max_rank=self.settings.max_rank,
            tokenizer_json=self._model.tokenizer_json,
            bos_id=self._model.bos_id,
            eos_ids=self._model.eos_ids,
            max_batch_rows=self.settings.max_running,
            max_batch_adapters=self.settings.tensorrt_llm.max_gpu_adapters,
            capabilities=self._capabilities,
        )

    def submit(self, request: Generate) -> None:
        """Queue a line; a bad or surplus one is answered by ``RequestFailed``."""
        self._loop.call_soon_threadsafe(self._enqueue, request)

    def cancel(self, request_id: int) -> None:
        """End a line now. Unknown ids are ignored: the line may just have ended."""
        self._loop.call_soon_threadsafe(self._cancel, request_id)

    def load_adapter(self, call_id: int, adapter: AdapterRef) -> None:
        """Check an adapter and have TensorRT-LLM read it; answered by ``AdapterLoaded`` or ``CallFailed``."""
        self._loop.call_soon_threadsafe(self._enqueue_warm_up, WarmUp(call_id, adapter))

    def unload_adapter(self, call_id: int, digest: str) -> None:
        """Forget an adapter; refused while a line uses it. Its memory comes back when the model is built anew."""
        self._loop.call_soon_threadsafe(self._unload, call_id, digest)

    def answer_stats(self, call_id: int) -> None:
        """Put the counters among the events."""
        self._loop.call_soon_threadsafe(lambda: self._tell(self.stats(call_id)))

    def stats(self, call_id: int = 0) -> Stats:
        """Counters since the start, and the state now. TensorRT-LLM's own caches are not seen from here."""
        lines = sum(isinstance(item, Line) for item in self._waiting)
        busy = time.monotonic() - self._busy_since if self._running else 0.0
        return Stats(
            call_id=call_id,
            steps=self._steps.number,
            decode_tokens=self._decode_tokens,
            prefill_tokens=self._prefill_tokens,
            cached_prompt_tokens=self._cached_tokens,
            running=sum(not line.ended for line in self._running.values()),
            waiting=lines,
            max_rows=self._steps.max_rows,
            max_adapters=max(self._steps.adapters_per_step, default=0),
            adapters_per_step=dict(self._steps.adapters_per_step),
            resident_adapters=self._table.digests,
            host_adapters=self._table.digests,
            adapter_loads=self._table.loads,
            busy_s=self._busy_s + busy,
        )

    def take_events(self) -> list[Any]:
        """Everything that happened since the last call, in order. Raises once TensorRT-LLM has gone down."""
        if self._fatal is not None:
            raise InternalError(f"TensorRT-LLM has stopped: {self._fatal}") from self._fatal
        with self._events_lock:
            events, self._events = self._events, []
        return events

    @property
    def runnable(self) -> bool:
        """Whether ``step`` has something to do; lines need none, ``wake`` tells of their tokens."""
        return self._phase is Phase.REBUILD_DUE

    def step(self) -> bool:
        """Build the model anew if that is due. Always false: it is TensorRT-LLM that computes steps."""
        if self._phase is Phase.REBUILD_DUE:
            log.info("%d adapters were read: building the model anew", len(self._table.digests))
            api.shut_down(self._llm)
            self._shelf.clear()
            self._llm = api.load(self._options)
            self._phase = Phase.REBUILT
            self._loop.call_soon_threadsafe(self._start_anew)
        return False

    def close(self) -> None:
        """Stop everything; the engine is of no use afterwards."""
        self._shut_down(CLOSE_S)
        asyncio.run_coroutine_threadsafe(self._cancel_tasks(), self._loop).result(ABANDON_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ABANDON_S)
        self._disk.shutdown(wait=False, cancel_futures=True)
        self._shelf.close()

    def abandon(self) -> None:
        """The process ends at once: end what TensorRT-LLM has started beside it, or its memory stays taken."""
        self._shut_down(ABANDON_S)
        self._shelf.close()

    def _shut_down(self, patience_s: float) -> None:
        ending = threading.Thread(target=api.shut_down, args=(self._llm,), daemon=True)
        ending.start()
        ending.join(patience_s)

    # ── in the event loop: what waits ────────────────────────────────────────────────────────────────────────

    def _enqueue(self, request: Generate) -> None:
        try:
            self._check(request)
            lines = sum(isinstance(item, Line) for item in self._waiting)
            if lines >= self.settings.max_waiting + max(self.settings.max_running - len(self._running), 0):
                raise ResourceExhausted("the engine's queue is full; try again shortly", retry_after_s=1.0)
        except TownsfolkError as error:
            self._refuse(request.request_id, error)
            return
        self._waiting.append(Line(request))
        self._admit()

    def _enqueue_warm_up(self, call: WarmUp) -> None:
        try:
            _check_scale(call.adapter)
        except TownsfolkError as error:
            self._fail(call, error)
            return
        self._waiting.append(call)
        self._admit()

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
        if request.top_tokens:
            raise FailedPrecondition(
                "the tensorrt_llm engine does not tell how likely tokens are; ask without, or use the embedded engine",
                field="top_tokens",
            )
        if request.json_schema:
            self._check_schema(request.json_schema)
        if request.adapter is not None:
            _check_scale(request.adapter)

    def _check_schema(self, schema: str) -> None:
        if not self._capabilities.guided_decoding:
            raise FailedPrecondition(
                'guided decoding is off; set engine.tensorrt_llm.guided_decoding = "xgrammar" for lines by JSON schema',
                field="json_schema",
            )
        check_schema(schema)

    def _admit(self) -> None:
        """Hand over what there is room for, most urgent first; what waits for its adapter is passed over."""
        if self._phase is not Phase.SERVING or self._fatal is not None:
            return
        for item in sorted(self._waiting, key=lambda item: -item.priority):
            if isinstance(item, Line) and len(self._running) >= self.settings.max_running:
                continue
            digest = item.adapter.digest if item.adapter else ""
            if item.adapter is None:
                self._hand_over(item, None)
            elif digest not in self._shelved:
                self._start_checking(item.adapter)
            elif self._table.find(digest) is None and self._table.full:
                self._make_room()
                return
            else:
                self._hand_over(item, self._loaded(digest))

    def _make_room(self) -> None:
        """The model has to be built anew before anything else is admitted; first let all that runs end."""
        if not self._tasks:
            self._phase = Phase.REBUILD_DUE
            self._wake()

    def _start_anew(self) -> None:
        self._phase = Phase.SERVING
        self._table.start_anew()
        self._shelved.clear()
        self._admit()

    def _loaded(self, digest: str) -> LoadedAdapter:
        number = self._table.find(digest)
        return LoadedAdapter(
            digest, self._table.add(digest) if number is None else number, self._shelved[digest].folder
        )

    def _start_checking(self, adapter: AdapterRef) -> None:
        if adapter.digest not in self._checking:
            self._checking[adapter.digest] = self._loop.create_task(self._check_adapter(adapter))

    async def _check_adapter(self, adapter: AdapterRef) -> None:
        try:
            self._shelved[adapter.digest] = await self._loop.run_in_executor(self._disk, self._shelf.put, adapter)
        except TownsfolkError as error:
            self._fail_waiting(adapter, error)
        except Exception as error:
            log.exception("the adapter at %s could not be read", adapter.path)
            why = f"the adapter at {adapter.path} could not be read: {_first_line(error)}"
            self._fail_waiting(adapter, InternalError(why, field="adapter"))
        finally:
            del self._checking[adapter.digest]
        self._admit()

    def _fail_waiting(self, adapter: AdapterRef, error: TownsfolkError) -> None:
        for item in [i for i in self._waiting if i.adapter and i.adapter.digest == adapter.digest]:
            self._waiting.remove(item)
            self._fail(item, error)

    def _cancel(self, request_id: int) -> None:
        for item in self._waiting:
            if isinstance(item, Line) and item.request.request_id == request_id:
                self._waiting.remove(item)
                self._end(item, "cancelled")
                return
        line = self._running.get(request_id)
        if line is not None and not line.ended:
            self._end(line, "cancelled")
            if line.result is not None:
                api.abort(line.result)

    def _unload(self, call_id: int, digest: str) -> None:
        items = [*self._waiting, *(line for line in self._running.values() if not line.ended)]
        users = sum(item.adapter is not None and item.adapter.digest == digest for item in items)
        if users:
            message = f"the adapter is in use by {users} lines; cancel them or wait"
            self._tell(CallFailed(call_id, "FAILED_PRECONDITION", message, "adapter"))
            return
        self._table.forget(digest)
        self._tell(CallDone(call_id))

    # ── in the event loop: what runs ─────────────────────────────────────────────────────────────────────────

    def _hand_over(self, item: Line | WarmUp, adapter: LoadedAdapter | None) -> None:
        self._waiting.remove(item)
        if isinstance(item, WarmUp):
            assert adapter is not None
            running = self._warm_up(item, adapter)
        else:
            if not self._running:
                self._busy_since = time.monotonic()
            item.admitted = time.monotonic()
            self._running[item.request.request_id] = item
            running = self._speak(item, adapter)
        task = self._loop.create_task(running)
        self._tasks.add(task)
        task.add_done_callback(self._handed_back)

    def _handed_back(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            if (error := task.exception()) is not None:
                self._die(error)
            self._admit()

    async def _speak(self, line: Line, adapter: LoadedAdapter | None) -> None:
        """One line, from TensorRT-LLM to the events. A line that was cancelled is followed to its end, too."""
        request = line.request
        options = LineOptions(
            prompt=request.prompt,
            sampling=request.sampling,
            max_tokens=min(request.sampling.max_tokens, self.max_context - len(request.prompt)),
            stop_ids=request.stop_ids,
            adapter=adapter,
            json_schema=request.json_schema,
            kept_prefix=self._prefixes.of(adapter.digest if adapter else "", request.prompt),
        )
        try:
            if line.ended:  # cancelled before its turn came
                return
            try:
                line.result = api.submit(self._llm, options)
            except (ValueError, TypeError) as error:
                raise InvalidArgument(f"TensorRT-LLM does not take this line: {_first_line(error)}") from error
            async for update in api.updates(line.result):
                self._hear(line, update)
            if not line.ended:
                raise InternalError("TensorRT-LLM ended the line without a reason")
        except api.LineFailed as error:
            self._fail(line, FailedPrecondition(f"TensorRT-LLM could not make this line: {_first_line(error)}"))
        except TownsfolkError as error:
            self._fail(line, error)
        finally:
            del self._running[request.request_id]
            if not self._running:
                self._busy_s += time.monotonic() - self._busy_since

    def _hear(self, line: Line, update: Update) -> None:
        if line.ended:
            return
        request = line.request
        if not line.started and (update.token_ids or update.finish):
            self._start(line, update.cached_tokens)
        for token in update.token_ids:
            if token in request.stop_ids:
                self._end(line, "stop")
                if not update.finish:
                    api.abort(line.result)
                return
            line.tokens += 1
            self._decode_tokens += 1
            self._tell(Said(request.request_id, token, line.adapter.digest if line.adapter else ""))
        if update.finish == "timeout":
            raise DeadlineExceeded("TensorRT-LLM gave the line up for the time it took")
        if update.finish:
            self._end(line, update.finish)

    def _start(self, line: Line, cached_tokens: int) -> None:
        line.started = True
        prompt = len(line.request.prompt)
        self._cached_tokens += cached_tokens
        self._prefill_tokens += prompt - cached_tokens
        self._tell(Started(line.request.request_id, prompt, cached_tokens, line.admitted - line.arrived))

    async def _warm_up(self, call: WarmUp, adapter: LoadedAdapter) -> None:
        """Have TensorRT-LLM read an adapter now, by one token that nobody hears (rule "lora_first_use")."""
        options = LineOptions([max(self._model.bos_id, 0)], ONE_TOKEN, 1, [], adapter, "", 0)
        try:
            async for _ in api.updates(api.submit(self._llm, options)):
                pass
        except (api.LineFailed, ValueError) as error:
            self._fail(call, FailedPrecondition(f"TensorRT-LLM cannot use this adapter: {_first_line(error)}"))
            return
        shelved = self._shelved[adapter.digest]
        self._tell(AdapterLoaded(call.call_id, adapter.digest, shelved.rank, shelved.bytes, resident=True))

    # ── in the event loop: what is told ──────────────────────────────────────────────────────────────────────

    def _end(self, line: Line, reason: str) -> None:
        line.ended = True
        self._tell(Finished(line.request.request_id, reason, line.tokens))

    def _fail(self, item: Line | WarmUp, error: TownsfolkError) -> None:
        if isinstance(item, WarmUp):
            self._tell(CallFailed(item.call_id, error.status, error.message, error.field))
        elif not item.ended:
            item.ended = True
            self._refuse(item.request.request_id, error)

    def _refuse(self, request_id: int, error: TownsfolkError) -> None:
        self._tell(RequestFailed(request_id, error.status, error.message, error.field, error.retry_after_s))

    def _tell(self, event: Any) -> None:
        """To be heard with all that arrives in this turn of the loop: TensorRT-LLM brings a step's tokens together."""
        if not self._arrived:
            self._loop.call_soon(self._pass_on)
        self._arrived.append(event)

    def _pass_on(self) -> None:
        arrived, self._arrived = self._arrived, []
        with self._events_lock:
            self._events += self._steps.number_tokens(arrived)
        self._wake()

    def _die(self, error: BaseException) -> None:
        """TensorRT-LLM is gone: the driver hears of it at ``take_events``, and this process is started again."""
        self._fatal = self._fatal or error
        self._wake()

    async def _cancel_tasks(self) -> None:
        tasks = [*self._tasks, *self._checking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _check_scale(adapter: AdapterRef) -> None:
    if not math.isfinite(adapter.scale):
        raise InvalidArgument("the adapter's scale must be a number", field="adapter")
    if adapter.scale != 1:
        raise FailedPrecondition(
            f"the tensorrt_llm engine applies adapters as they were trained, not {adapter.scale:g} times; "
            "use scale 1, or the embedded engine",
            field="adapter",
        )
