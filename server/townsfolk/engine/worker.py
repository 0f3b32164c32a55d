"""The engine process: reads messages on standard input, steps the engine, writes messages on standard output.

Run by ``process.py`` as ``python -m townsfolk.engine.worker SETTINGS_JSON``. When the daemon dies, standard input
ends and so does this process, in the middle of a step if need be. Whatever libraries print goes to standard error.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, BinaryIO, Protocol

from townsfolk.child_process import leave_signals_to_the_daemon, take_standard_output
from townsfolk.config import EngineSettings
from townsfolk.engine.messages import (
    CODEC,
    AdapterRef,
    Batch,
    Cancel,
    Failed,
    Generate,
    GetStats,
    LoadAdapter,
    MalformedMessage,
    Message,
    Ready,
    Shutdown,
    Step,
    StepTokens,
    Token,
    UnloadAdapter,
    encode,
)
from townsfolk.errors import TownsfolkError

log = logging.getLogger("townsfolk.engine")

WAKE = object()  # put into the inbox when an adapter has been read
EXIT_OK, EXIT_FAILED = 0, 1


class LocalEngine(Protocol):
    """An engine as this process drives it: from one thread, by messages in and events out."""

    @property
    def runnable(self) -> bool:
        """Whether ``step`` may have something to do; while not, the driver sleeps until a message or ``wake``."""
        ...

    def ready(self) -> Ready: ...
    def submit(self, request: Generate) -> None: ...
    def cancel(self, request_id: int) -> None: ...
    def load_adapter(self, call_id: int, adapter: AdapterRef) -> None: ...
    def unload_adapter(self, call_id: int, digest: str) -> None: ...
    def answer_stats(self, call_id: int) -> None: ...

    def step(self) -> bool:
        """Do what is to be done now. Returns whether there may be more at once."""
        ...

    def take_events(self) -> list[Any]:
        """Everything that happened since the last call. What it raises ends the process, which is started again."""
        ...

    def close(self) -> None:
        """Stop everything, in an orderly way."""
        ...

    def abandon(self) -> None:
        """End what would outlive this process. Called from another thread, just before the process ends at once."""
        ...


def main() -> None:
    """Entry point of the engine process."""
    settings = EngineSettings.model_validate_json(sys.argv[1])
    logging.basicConfig(level=os.environ.get("TOWNSFOLK_LOG", "INFO"), format="%(asctime)s %(name)s %(message)s")
    leave_signals_to_the_daemon()
    outgoing = take_standard_output()
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    last_acts: list[Callable[[], None]] = []
    threading.Thread(target=_read_messages, args=(sys.stdin.buffer, inbox, last_acts), daemon=True).start()
    try:
        engine = _load(settings, inbox)
    except TownsfolkError as error:
        _write(outgoing, Failed(error.status, error.message))
        sys.exit(EXIT_FAILED)
    except Exception as error:
        log.exception("the engine could not start")
        _write(outgoing, Failed("INTERNAL", f"the engine could not start: {type(error).__name__}: {error}"))
        sys.exit(EXIT_FAILED)
    last_acts.append(engine.abandon)
    _write(outgoing, engine.ready())
    try:
        _serve(engine, inbox, outgoing)
    except Exception:
        log.exception("the engine has failed; its process ends")
        engine.abandon()  # an orderly end may hang in what has failed
        os._exit(EXIT_FAILED)
    engine.close()


def _load(settings: EngineSettings, inbox: queue.SimpleQueue[Any]) -> LocalEngine:
    """The engine of ``settings.kind``; ``make_engine`` has decided before what auto means, else it is embedded."""

    def wake() -> None:
        inbox.put(WAKE)

    try:
        if settings.kind == "tensorrt_llm":
            from townsfolk.engine.tensorrt_llm import start as tensorrt_llm

            return tensorrt_llm.start_engine(settings, wake)
        from townsfolk.engine.embedded import start as embedded

        return embedded.start_engine(settings, wake)
    except ImportError as error:
        extra = "embedded" if settings.kind == "auto" else settings.kind.replace("_", "-")
        raise TownsfolkError(
            f"the {extra} engine needs {error.name}; install it with: pip install 'townsfolk[{extra}]'"
        ) from error


def _serve(engine: LocalEngine, inbox: queue.SimpleQueue[Any], outgoing: BinaryIO) -> None:
    """Steps while a step computes something; sleeps on the inbox otherwise. Messages are handled between steps."""
    stepped = False
    while True:
        for message in _take(inbox, wait=not stepped):
            if isinstance(message, Shutdown):
                return
            _handle(engine, message)
        stepped = engine.runnable and engine.step()
        messages = fold(engine.take_events(), time.time_ns())
        if messages:
            _write(outgoing, messages[0] if len(messages) == 1 else Batch(messages))


def fold(events: Iterable[Any], sampled_unix_ns: int) -> list[Any]:
    """What steps have to say, as it travels: tokens of one step in a row as one ``StepTokens``, all else as it is."""
    messages: list[Any] = []
    for step_number, run in groupby(events, lambda event: event.step if isinstance(event, Token) else None):
        if step_number is None:
            messages.extend(run)
            continue
        tokens: list[Token] = list(run)
        step = Step(tokens[0].step, tokens[0].rows, tokens[0].adapters, sampled_unix_ns)
        likelihoods = {t.request_id: t.likelihood for t in tokens if t.likelihood is not None}
        messages.append(StepTokens(step, [t.request_id for t in tokens], [t.token_id for t in tokens], likelihoods))
    return messages


def _take(inbox: queue.SimpleQueue[Any], wait: bool) -> list[Any]:
    messages = [inbox.get()] if wait else []
    while True:
        try:
            messages.append(inbox.get_nowait())
        except queue.Empty:
            return messages


def _handle(engine: LocalEngine, message: Any) -> None:
    match message:
        case Generate():
            engine.submit(message)
        case Cancel(request_id):
            engine.cancel(request_id)
        case LoadAdapter(call_id, adapter):
            engine.load_adapter(call_id, adapter)
        case UnloadAdapter(call_id, digest):
            engine.unload_adapter(call_id, digest)
        case GetStats(call_id):
            engine.answer_stats(call_id)


def _read_messages(incoming: BinaryIO, inbox: queue.SimpleQueue[Any], last_acts: list[Callable[[], None]]) -> None:
    try:
        while (message := CODEC.read(incoming)) is not None:
            inbox.put(message)
    except (OSError, MalformedMessage) as error:
        log.error("the daemon's messages cannot be read: %s", error)
    for act in last_acts:
        act()
    os._exit(EXIT_OK)  # the daemon is gone: nothing here is worth finishing


def _write(outgoing: BinaryIO, message: Message) -> None:
    try:
        outgoing.write(encode(message))
        outgoing.flush()
    except OSError:
        os._exit(EXIT_OK)


if __name__ == "__main__":
    main()
