"""A turn while it runs: what it was asked, what it has said, and how it is cancelled."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from townsfolk.dialogue.events import Happening, SpeechDelta, TurnEvent
from townsfolk.dialogue.line import SpokenLine
from townsfolk.dialogue.outbox import Outbox
from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.session import Session
from townsfolk.dialogue.turn_stats import TurnMeter


@dataclass(slots=True, eq=False)
class Turn:
    """A turn that runs or waits. ``on_end`` is called once, after its last event."""

    id: str
    persona_id: str
    session: Session | None
    outbox: Outbox
    on_end: Callable[[], None] = lambda: None
    meter: TurnMeter = field(default_factory=TurnMeter)
    text: str = ""
    situation: str = ""
    priority: int = 0
    deadline_s: float = 0.0
    asked_stops: tuple[str, ...] = ()
    asked_unix_s: float = field(default_factory=time.time)
    plan: LinePlan | None = None
    line: SpokenLine | None = None
    adapter_digest: str = ""
    ended: bool = False
    cancelled: bool = False
    task: asyncio.Task[None] | None = None
    _begun: bool = False
    _sequence: int = 0
    _spoken: list[str] = field(default_factory=list)
    _said_at: array[float] = field(default_factory=lambda: array("d"))

    @property
    def session_id(self) -> str:
        return self.session.id if self.session else ""

    @property
    def spoken(self) -> str:
        """What the player was given to hear so far."""
        return "".join(self._spoken)

    @property
    def deltas(self) -> list[tuple[float, str]]:
        """The pieces in which it was said, each with the seconds since the request was read."""
        return [(self.meter.since_asked(at), text) for at, text in zip(self._said_at, self._spoken, strict=True)]

    def cancel(self) -> bool:
        """End the turn within one step of the engine. Returns false if it has ended, or is being cancelled already."""
        if self.ended or self.cancelled:
            return False
        self.cancelled = True
        if self._begun and self.task is not None:  # a task that never ran would die without its last event
            self.task.cancel()
        return True

    def begin(self) -> None:
        """From here on ``cancel`` interrupts the task. Raises ``CancelledError`` if it came before."""
        self._begun = True
        if self.cancelled:
            raise asyncio.CancelledError

    def emit(self, what: Happening) -> None:
        """Send an event. Raises ``ResourceExhausted`` if the reader is too far behind."""
        if self.outbox.put(TurnEvent(self.id, self.session_id, self.persona_id, self._sequence, what)):
            self._sequence += 1

    def say(self, delta: SpeechDelta) -> None:
        """Send more of the line. Raises as ``emit`` does, and then it was not said."""
        self.emit(delta)
        self._spoken.append(delta.text)
        self._said_at.append(time.monotonic())
