"""Child processes of the benchmark: asked one at a time, stopped while others are measured, never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol import Case

LOAD_TIMEOUT_S = 900.0  # vLLM compiles its kernels when it is first loaded
CASE_TIMEOUT_S = 600.0
TAIL_BYTES = 4096


class ChildError(Exception):
    """A child process failed; the message is a sentence for the report."""


@contextlib.contextmanager
def spawned(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A child with pipes, in a process group of its own that is killed at the end, its children included."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as errors:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | environment,
            encoding="utf-8",
            start_new_session=True,
        )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@dataclass(frozen=True)
class Answer:
    """What a system says of a case: seconds from submission to the last token, and each stream's first tokens."""

    seconds: float
    tokens: int
    first_tokens: list[list[int]]

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds


class LoadedSystem:
    """A system's process, loaded and warm. It is stopped (SIGSTOP) unless it is asked something.

    So that no thread of a waiting system spins or wakes while another one is measured, which on a small machine would
    be measured too, and still each is loaded only once.
    """

    def __init__(self, child: subprocess.Popen[str], log: Path) -> None:
        self._child, self._log = child, log
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self.versions: dict[str, str] = self._next(LOAD_TIMEOUT_S)["ready"]
        self._signal(signal.SIGSTOP)

    def ask(self, case: Case) -> Answer:
        """Run one case. Raises ``ChildError``."""
        self._signal(signal.SIGCONT)
        try:
            assert self._child.stdin is not None
            self._child.stdin.write(case.to_line())
            self._child.stdin.flush()
            return Answer(**self._next(CASE_TIMEOUT_S))
        except BrokenPipeError as error:
            raise ChildError(self._why("ended")) from error
        finally:
            self._signal(signal.SIGSTOP)

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._lines.put(line)
        self._lines.put("")  # the end

    def _next(self, timeout_s: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise ChildError(self._why(f"gave no answer within {timeout_s:.0f} s")) from None
        if not line:
            raise ChildError(self._why("ended"))
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _why(self, what: str) -> str:
        return f"its process {what}; it last said: {last_line(self._log)}"

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)


def last_line(log: Path) -> str:
    """The last line of a log that says anything, without colours."""
    text = log.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace")
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"
