"""Drives an engine in this process, without pipe or daemon, and notes when every token came."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

from pydantic import ValidationError

from townsfolk.config import EngineSettings
from townsfolk.engine.adapter_files import adapter_digest
from townsfolk.engine.embedded.engine import EmbeddedEngine
from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.engine.embedded.start import start_engine
from townsfolk.engine.messages import (
    AdapterLoaded,
    AdapterRef,
    CallFailed,
    Finished,
    Generate,
    Ready,
    RequestFailed,
    SamplingParams,
    Started,
    Stats,
    Token,
)
from townsfolk.errors import FailedPrecondition, InternalError, InvalidArgument, from_status

COLUMN_MULTIPLE = 16  # ranks are rounded up to it when room for adapters is reserved
CONTEXT_SLACK = 8  # tokens beyond prompt and reply, so that no line ends for want of room
SMALLEST_CONTEXT = 64
STUCK_S = 120.0  # without a step while lines wait: a bug, not a slow machine

# How far a measurement is: steps done, steps in all, what is measured next.
Progress = Callable[[int, int, str], None]
GREEDY = SamplingParams(temperature=0.0)


class DrivableEngine(Protocol):
    """An engine that is driven from one thread, in this process."""

    settings: EngineSettings
    spec: ModelSpec
    max_context: int

    def ready(self) -> Ready: ...
    def submit(self, request: Generate) -> None: ...
    def load_adapter(self, call_id: int, adapter: AdapterRef) -> None: ...
    def unload_adapter(self, call_id: int, digest: str) -> None: ...
    def stats(self) -> Stats: ...
    def step(self) -> bool: ...
    def take_events(self) -> list[Any]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class EngineOptions:
    """Which model runs where: as ``EngineSettings``, whose defaults these are."""

    model: Path
    device: str = "auto"
    dtype: str = "auto"
    threads: int = 0

    def settings(self, *, streams: int, adapters: int, rank: int, context: int) -> EngineSettings:
        """Settings with room for that: lines of ``context`` tokens each, resident adapters of ``rank`` each.

        Raises ``InvalidArgument`` for what is beyond the engine's limits.
        """
        width = -(-rank // COLUMN_MULTIPLE) * COLUMN_MULTIPLE
        values = {
            "kind": "embedded",
            "model": self.model,
            "device": self.device,
            "dtype": self.dtype,
            "threads": self.threads,
            "max_running": streams,
            "max_context": max(context + CONTEXT_SLACK, SMALLEST_CONTEXT),
            "max_rank": max(rank, 1),
            "adapter_columns": max(adapters * width, COLUMN_MULTIPLE),
            "adapter_slots": max(adapters, 1),
        }
        try:
            return EngineSettings.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise InvalidArgument(f"the engine cannot be set up for that: {key}: {first['msg']}", field=key) from error


@dataclass(eq=False)
class TimedLine:
    """What came back for one request, and when. Times are of ``time.perf_counter``, in seconds."""

    request_id: int
    submitted: float
    token_ids: list[int] = field(default_factory=list)
    token_times: list[float] = field(default_factory=list)
    cached_tokens: int = 0
    queue_s: float = 0.0
    ended: bool = False

    @property
    def first_token_s(self) -> float:
        """From the request to its first token. Raises ``FailedPrecondition`` for a line without any."""
        if not self.token_times:
            raise FailedPrecondition("a line ended before its first token; nothing can be timed with this model")
        return self.token_times[0] - self.submitted

    def gaps_s(self, since: float) -> list[float]:
        """Between one token and the next, for those from ``since`` on."""
        return [after - before for before, after in itertools.pairwise(self.token_times) if before >= since]


@dataclass(frozen=True)
class BatchTime:
    """Lines that were asked together: their tokens in all, and seconds from the request to the last token."""

    tokens: int
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0


def adapter_refs(folders: Iterable[Path]) -> list[AdapterRef]:
    """References by which requests name the adapters in these folders."""
    return [AdapterRef(adapter_digest(folder), str(folder)) for folder in folders]


class DrivenEngine:
    """An engine and the lines it speaks. Use as a context manager; requests are greedy.

    Args:
        make: builds the engine; gets the function to call when an adapter has been read, or events are there to take.
    """

    def __init__(self, make: Callable[[Callable[[], None]], DrivableEngine]) -> None:
        self._woken = threading.Event()
        self.engine = make(self._woken.set)
        self._ids = itertools.count(1)
        self._lines: dict[int, TimedLine] = {}
        self._loaded: list[AdapterLoaded] = []
        capabilities = self.engine.ready().capabilities
        self._frees_adapters = capabilities is None or capabilities.frees_adapters

    @classmethod
    def start(cls, settings: EngineSettings) -> Self:
        """Load the model that the settings name. Raises ``TownsfolkError``."""
        return cls(lambda wake: _with_context(start_engine(settings, wake), settings.max_context))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.engine.close()

    def submit(
        self,
        prompt: list[int],
        adapter: AdapterRef | None,
        max_tokens: int,
        stop_ids: Sequence[int] = (),
        sampling: SamplingParams = GREEDY,
    ) -> TimedLine:
        """Ask for one line, greedy unless ``sampling`` says otherwise; it is spoken by ``step`` or ``finish``."""
        line = TimedLine(next(self._ids), time.perf_counter())
        self._lines[line.request_id] = line
        sampling = replace(sampling, max_tokens=max_tokens, seed=line.request_id)
        self.engine.submit(Generate(line.request_id, prompt, sampling, list(stop_ids), adapter))
        return line

    def step(self) -> bool:
        """One step of the engine, or a short sleep while nothing happens. Raises what a request failed with."""
        self._woken.clear()
        stepped = self.engine.step()
        heard = self._sort(time.perf_counter())
        if not stepped and not heard:
            self._woken.wait(0.001)
        return stepped or heard

    def finish(self, lines: Sequence[TimedLine]) -> None:
        """Step until all these lines have ended."""
        self._step_until(lambda: all(line.ended for line in lines))

    def keep_resident(self, adapters: Sequence[AdapterRef]) -> None:
        """Have exactly these adapters in slots, or at least these where the engine never lets go of one.

        Raises ``InternalError`` if they do not fit.
        """
        wanted = {adapter.digest for adapter in adapters}
        if self._frees_adapters:
            self.forget([digest for digest in self.engine.stats().resident_adapters if digest not in wanted])
        resident = self.engine.stats().resident_adapters
        missing = [adapter for adapter in adapters if adapter.digest not in resident]
        self._loaded.clear()
        for adapter in missing:
            self.engine.load_adapter(next(self._ids), adapter)
        self._step_until(lambda: len(self._loaded) == len(missing))
        if not all(loaded.resident for loaded in self._loaded):
            raise InternalError(f"{len(wanted)} adapters do not fit into the slots that were reserved for them")

    def forget(self, digests: Iterable[str]) -> None:
        """Drop adapters from slots and host memory: the next line of each reads it from disk."""
        for digest in digests:
            self.engine.unload_adapter(next(self._ids), digest)
        self._sort(time.perf_counter())

    def _step_until(self, done: Callable[[], bool]) -> None:
        last_step = time.monotonic()
        while not done():
            if self.step():
                last_step = time.monotonic()
            elif time.monotonic() - last_step > STUCK_S:
                raise InternalError(f"the engine has made no step for {STUCK_S:.0f} s though lines wait")

    def _sort(self, now: float) -> bool:
        events = self.engine.take_events()
        for event in events:
            match event:
                case Token(request_id=request_id, token_id=token_id):
                    line = self._lines[request_id]
                    line.token_ids.append(token_id)
                    line.token_times.append(now)
                case Started(request_id=request_id, cached_tokens=cached, queue_s=queue_s):
                    line = self._lines[request_id]
                    line.cached_tokens, line.queue_s = cached, queue_s
                case Finished(request_id=request_id):
                    self._lines.pop(request_id).ended = True
                case AdapterLoaded():
                    self._loaded.append(event)
                case RequestFailed(status=status, message=message) | CallFailed(status=status, message=message):
                    raise from_status(status, message)
        return bool(events)


def _with_context(engine: EmbeddedEngine, tokens: int) -> EmbeddedEngine:
    if engine.max_context < tokens:
        engine.close()
        raise InvalidArgument(
            f"{engine.spec.name} reads {engine.max_context} tokens at most, and prompt and reply need {tokens} here; "
            "ask for fewer"
        )
    return engine


def time_together(
    driven: DrivenEngine,
    prompts: Sequence[list[int]],
    adapters: Sequence[AdapterRef | None],
    max_tokens: int,
    stop_ids: Sequence[int] = (),
    sampling: SamplingParams = GREEDY,
) -> BatchTime:
    """Ask for all lines at once and time them until the last token; reading the prompts counts."""
    started = time.perf_counter()
    lines = [
        driven.submit(prompt, adapter, max_tokens, stop_ids, sampling)
        for prompt, adapter in zip(prompts, adapters, strict=True)
    ]
    driven.finish(lines)
    return BatchTime(sum(len(line.token_ids) for line in lines), time.perf_counter() - started)


def time_one_by_one(
    driven: DrivenEngine, prompts: Sequence[list[int]], adapters: Sequence[AdapterRef | None], max_tokens: int
) -> BatchTime:
    """Ask for one line after another, each when the one before it has ended."""
    started = time.perf_counter()
    tokens = 0
    for prompt, adapter in zip(prompts, adapters, strict=True):
        line = driven.submit(prompt, adapter, max_tokens)
        driven.finish([line])
        tokens += len(line.token_ids)
    return BatchTime(tokens, time.perf_counter() - started)
