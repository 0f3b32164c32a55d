"""A client under test: its runner's process, and all that it has reported."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from tests.conformance.protocol import Value, decode_line, encode_line

PATIENCE_S = 20.0
CONNECTION = "connection"  # label of what belongs to no request


@dataclass(frozen=True)
class Reported:
    """One event as the runner reported it."""

    kind: str
    fields: Mapping[str, Value] = field(default_factory=dict)

    @property
    def last(self) -> bool:
        return self.fields.get("last") == "1"

    def text(self, key: str = "text") -> str:
        """A field that is no list."""
        value = self.fields.get(key, "")
        assert isinstance(value, str), f"{key} came more than once"
        return value


class ClientProcess:
    """A runner that obeys commands and reports events. It serves one conversation after the other."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(environment), encoding="utf-8"
        )
        self._changed = threading.Condition()
        self._events: dict[str, list[Reported]] = {}
        self._broken = ""
        self._listener = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()

    @property
    def usable(self) -> bool:
        """Whether it can serve another conversation."""
        return not self._broken

    def forget(self) -> None:
        """Begin a new conversation."""
        with self._changed:
            self._events = {}

    def send(self, command: str, fields: Mapping[str, object]) -> None:
        """Have the runner do something."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode_line(command, fields) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise AssertionError(f"the client's runner has died: {error}") from error

    def events(self, label: str) -> list[Reported]:
        """What was reported of a request so far."""
        with self._changed:
            return list(self._events.get(label, ()))

    def labels(self) -> set[str]:
        """All requests of which something was reported."""
        with self._changed:
            return set(self._events)

    def wait(self, label: str, condition: Callable[[list[Reported]], bool], what: str) -> list[Reported]:
        """The events of a request once ``condition`` holds for them; ``what`` says what is waited for."""
        with self._changed:
            met = self._changed.wait_for(
                lambda: bool(self._broken) or condition(self._events.get(label, [])), PATIENCE_S
            )
            events = list(self._events.get(label, ()))
            if met and not self._broken:
                return events
            reason = self._broken or f"{PATIENCE_S:g} s have passed"
            told = "\n".join(f"  {encode_line(event.kind, event.fields)}" for event in events) or "  nothing"
        self._broken = self._broken or "a conversation before has failed"
        raise AssertionError(f"waited for {what} of {label!r}, but {reason}; until then came:\n{told}")

    def stop(self) -> int:
        """End the runner and return its exit code."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it may have died
            self._process.stdin.close()
        try:
            return self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(PATIENCE_S)
        finally:
            self._listener.join(PATIENCE_S)

    def _listen(self, stdout: IO[str]) -> None:
        reason = "the runner has ended"
        with stdout:
            for line in stdout:
                try:
                    kind, fields = decode_line(line.rstrip("\n"))
                    label = fields.pop("of", CONNECTION)
                    if not isinstance(label, str):
                        raise ValueError("an event belongs to one request")
                except ValueError as error:
                    reason = f"the runner wrote a line that cannot be read: {error}"
                    break
                with self._changed:
                    self._events.setdefault(label, []).append(Reported(kind, fields))
                    self._changed.notify_all()
        with self._changed:
            self._broken = self._broken or reason
            self._changed.notify_all()
