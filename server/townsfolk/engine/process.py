"""The daemon's side of the engine process: start it, talk to it, notice its death, start it again.

The engine is a child of its own because a GPU fault, an out-of-memory kill or a poisonous request must not take the
daemon and its sessions down. Lines in flight when it dies end with ``Unavailable`` at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from townsfolk.child_process import CREATE_NO_WINDOW
from townsfolk.config import EngineSettings
from townsfolk.engine.interface import LineListener
from townsfolk.engine.messages import (
    CODEC,
    AdapterLoaded,
    AdapterRef,
    Batch,
    CallDone,
    CallFailed,
    Cancel,
    Failed,
    Finished,
    Generate,
    GetStats,
    LoadAdapter,
    MalformedMessage,
    Message,
    Ready,
    RequestFailed,
    SamplingParams,
    Shutdown,
    Started,
    Stats,
    Step,
    StepTokens,
    TokenLikelihood,
    UnloadAdapter,
    encode,
)
from townsfolk.errors import TownsfolkError, Unavailable, from_status

log = logging.getLogger(__name__)

STOP_GRACE_S = 5.0  # a step on a slow CPU takes well under a second; then the child is killed
# TensorRT-LLM ends processes of its own, which would outlive a child that is killed meanwhile.
TENSORRT_LLM_STOP_GRACE_S = 30.0
MAX_RESTART_BACKOFF_S = 30.0
HEALTHY_AFTER_S = 60.0  # a child that lived this long starts the backoff anew
# Threads of a parallel loop that wait for each other by spinning starve when a game uses the same cores; figures for
# both ways are in docs/performance.md.
SHARED_CORES_ENVIRONMENT = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}


class _Line:
    """A line in flight: who hears it, and how it ends."""

    def __init__(self, listener: LineListener) -> None:
        self._listener = listener
        self.end: asyncio.Future[Finished] = asyncio.get_running_loop().create_future()
        self.in_engine = True

    def started(self, started: Started) -> None:
        """The engine took the line up."""
        if not self.end.done():
            try:
                self._listener.started(started)
            except Exception as error:  # its own line's end, and nobody else's
                self.end.set_exception(error)

    def sampled(self, token_id: int, step: Step, likelihood: TokenLikelihood | None) -> None:
        """The engine made a token."""
        if not self.end.done():
            try:
                self._listener.sampled(token_id, step, likelihood)
            except Exception as error:
                self.end.set_exception(error)

    def finish(self, finished: Finished) -> None:
        """The engine has made the line."""
        self.in_engine = False
        if not self.end.done():
            self.end.set_result(finished)

    def fail(self, error: TownsfolkError) -> None:
        """The engine does not make the line."""
        self.in_engine = False
        if not self.end.done():
            self.end.set_exception(error)


class EngineProcess:
    """An ``Engine`` that lives in a supervised child process.

    Args:
        settings: passed to the child.
        command: what to run instead of the engine's worker, without the settings argument.
    """

    def __init__(self, settings: EngineSettings, command: Sequence[str] | None = None) -> None:
        self.name = "tensorrt_llm" if settings.kind == "tensorrt_llm" else "embedded"
        self._stop_grace_s = TENSORRT_LLM_STOP_GRACE_S if self.name == "tensorrt_llm" else STOP_GRACE_S
        self._settings = settings
        self._command = list(command or (sys.executable, "-m", "townsfolk.engine.worker"))
        self._child: asyncio.subprocess.Process | None = None
        self._info: Ready | None = None
        self._ready = False
        self._stopping = False
        self._supervisor: asyncio.Task[None] | None = None
        self._lines: dict[int, _Line] = {}
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)
        self.restarts = 0

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def info(self) -> Ready:
        if self._info is None:
            raise Unavailable("the engine has not started yet", retry_after_s=1.0)
        return self._info

    @property
    def pid(self) -> int | None:
        """Process id of the child, while there is one."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start the child and wait until its model is loaded. Raises what kept it from loading."""
        try:
            await self._spawn()
        except BaseException:
            await self._kill()
            raise
        self._supervisor = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """Ask the child to end after its step, then make it. Safe to call twice."""
        self._stopping = True
        self._ready = False
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(OSError):
                self._post(Shutdown())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._child.wait(), self._stop_grace_s)
        await self._kill()
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        self._fail_everything(Unavailable("the engine has been stopped"))

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
        self._require_ready()
        line_id = next(self._ids)
        line = self._lines[line_id] = _Line(listener)
        try:
            await self._send(Generate(line_id, prompt, sampling, stop_ids, adapter, priority, top_tokens, json_schema))
            return await line.end
        finally:
            del self._lines[line_id]
            if line.in_engine and self._ready:
                self._post(Cancel(line_id))

    async def load_adapter(self, adapter: AdapterRef) -> AdapterLoaded:
        loaded = await self._call(lambda call_id: LoadAdapter(call_id, adapter))
        assert isinstance(loaded, AdapterLoaded)
        return loaded

    async def unload_adapter(self, digest: str) -> None:
        await self._call(lambda call_id: UnloadAdapter(call_id, digest))

    async def stats(self) -> Stats:
        stats = await self._call(GetStats)
        assert isinstance(stats, Stats)
        return stats

    # ── the child's life ─────────────────────────────────────────────────────────────────────────────────────

    async def _spawn(self) -> None:
        self._child = await asyncio.create_subprocess_exec(
            *self._command,
            self._settings.model_dump_json(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**(SHARED_CORES_ENVIRONMENT if self._settings.share_cores else {}), **os.environ},
            creationflags=CREATE_NO_WINDOW if sys.platform == "win32" else 0,
        )
        try:
            first = await asyncio.wait_for(self._receive(self._child), self._settings.start_timeout_s)
        except TimeoutError:
            raise Unavailable(
                f"the engine did not load its model within {self._settings.start_timeout_s:g} s; "
                "raise engine.start_timeout_s or use a smaller model"
            ) from None
        except MalformedMessage as error:
            raise Unavailable(
                f"the engine process does not speak our messages ({error}); reinstall townsfolk"
            ) from error
        if isinstance(first, Failed):
            raise from_status(first.status, first.message, field="engine")
        if not isinstance(first, Ready):
            raise Unavailable("the engine process ended while it was starting; see its messages above")
        self._info = first
        self._ready = True

    async def _supervise(self) -> None:
        """Hand messages out while the child lives; when it dies, end its lines and start another."""
        clock = asyncio.get_running_loop().time
        backoff = self._settings.restart_backoff_s
        while True:
            assert self._child is not None
            born = clock()
            await self._read_until_end(self._child)
            self._ready = False
            code = await self._reap()
            if self._stopping:
                return
            log.error("the engine process ended (exit code %s); starting it again", code)
            retry = Unavailable("the engine stopped unexpectedly and is being started again; say it again shortly",
                                retry_after_s=backoff)  # fmt: skip
            self._fail_everything(retry)
            if clock() - born > HEALTHY_AFTER_S:
                backoff = self._settings.restart_backoff_s
            while True:
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, MAX_RESTART_BACKOFF_S)
                self.restarts += 1
                try:
                    await self._spawn()
                    break
                except (TownsfolkError, OSError) as error:
                    log.error("the engine could not be started again: %s", error)
                    await self._kill()

    async def _read_until_end(self, child: asyncio.subprocess.Process) -> None:
        try:
            while (message := await self._receive(child)) is not None:
                for item in message.items if isinstance(message, Batch) else (message,):
                    self._hand_out(item)
        except MalformedMessage as error:
            log.error("the engine process sent what is no message: %s", error)

    @staticmethod
    async def _receive(child: asyncio.subprocess.Process) -> Message | None:
        """The child's next message; ``None`` when it has closed its end."""
        assert child.stdout is not None
        return await CODEC.receive(child.stdout)

    def _hand_out(self, message: Message) -> None:
        match message:
            case StepTokens(step, line_ids, token_ids, likelihoods):
                for line_id, token_id in zip(line_ids, token_ids, strict=True):
                    if (line := self._lines.get(line_id)) is not None:
                        line.sampled(token_id, step, likelihoods.get(line_id))
            case Started(line_id):
                if (line := self._lines.get(line_id)) is not None:
                    line.started(message)
            case Finished(line_id):
                if (line := self._lines.get(line_id)) is not None:
                    line.finish(message)
            case RequestFailed(line_id, status, text, field, retry_after_s):
                if (line := self._lines.get(line_id)) is not None:
                    line.fail(from_status(status, text, field=field, retry_after_s=retry_after_s))
            case AdapterLoaded(call_id) | CallDone(call_id) | Stats(call_id):
                if (future := self._calls.get(call_id)) is not None and not future.done():
                    future.set_result(message)
            case CallFailed(call_id, status, text, field):
                if (future := self._calls.get(call_id)) is not None and not future.done():
                    future.set_exception(from_status(status, text, field=field))

    def _fail_everything(self, error: TownsfolkError) -> None:
        for line in self._lines.values():
            line.fail(error)
        for future in self._calls.values():
            if not future.done():
                future.set_exception(error)

    async def _reap(self) -> int | None:
        await self._kill()
        return self._child.returncode if self._child else None

    async def _kill(self) -> None:
        if self._child is None:
            return
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
        await self._child.wait()
        if self._child.stdin is not None:
            self._child.stdin.close()

    # ── messages to the child ────────────────────────────────────────────────────────────────────────────────

    async def _call(self, message: Any) -> Any:
        """Send what ``message(call_id)`` makes and wait for the answer to it."""
        self._require_ready()
        call_id = next(self._ids)
        future = asyncio.get_running_loop().create_future()
        self._calls[call_id] = future
        try:
            await self._send(message(call_id))
            return await future
        finally:
            self._calls.pop(call_id, None)

    def _require_ready(self) -> None:
        if not self._ready:
            raise Unavailable("the engine is not running; try again shortly", retry_after_s=1.0)

    def _post(self, message: Message) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.write(encode(message))

    async def _send(self, message: Message) -> None:
        self._post(message)
        assert self._child is not None
        assert self._child.stdin is not None
        with contextlib.suppress(ConnectionError):  # the supervisor notices, and fails what is in flight
            await self._child.stdin.drain()
