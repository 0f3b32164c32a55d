"""A turn while it runs: what it was asked, what it has said, who listens, and how it is cancelled."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from townsfolk.dialogue.cues import CueSheet
from townsfolk.dialogue.events import FinishReason, Happening, SpeechDelta, TurnEvent
from townsfolk.dialogue.line import SpokenLine
from townsfolk.dialogue.outbox import Outbox
from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.session import Session
from townsfolk.dialogue.turn_record import TurnRecord
from townsfolk.dialogue.turn_stats import TurnMeter
from townsfolk.errors import TownsfolkError


@dataclass(slots=True, eq=False)
class Turn:
    """A turn that runs or waits. ``on_end`` is called once, after its last event.

    ``refusal`` keeps the engine from being asked. ``may_fall_back`` tells whether a fallback line may stand in for the
    line, ``kept`` whether the turn is known after its end. ``heard_characters`` bounds what the session will remember
    of it, where less was heard than said. ``cue_sheet`` is there where cues are to follow the line, ``line_ended`` once
    the engine has made the line to its end.
    """

    id: str
    persona_id: str
    session: Session | None
    outbox: Outbox
    on_end: Callable[[], None] = lambda: None
    meter: TurnMeter = field(default_factory=TurnMeter)
    text: str = ""
    situation: str = ""
    refusal: TownsfolkError | None = None
    may_fall_back: bool = True
    kept: bool = True
    priority: int = 0
    deadline_s: float = 0.0
    asked_stops: tuple[str, ...] = ()
    asked_unix_s: float = field(default_factory=time.time)
    plan: LinePlan | None = None
    line: SpokenLine | None = None
    cue_sheet: CueSheet | None = None
    line_ended: FinishReason | None = None
    adapter_digest: str = ""
    ended: bool = False
    cancelled: bool = False
    task: asyncio.Task[None] | None = None
    heard_characters: int | None = None
    record: TurnRecord = field(init=False)
    _begun: bool = False
    _streams: int = 1
    _patience: asyncio.TimerHandle | None = None
    _spoken: list[str] = field(default_factory=list)
    _said_at: array[float] = field(default_factory=lambda: array("d"))

    def __post_init__(self) -> None:
        self.record = TurnRecord(self.id, self.session_id, self.persona_id)

    @property
    def session_id(self) -> str:
        return self.session.id if self.session else ""

    @property
    def spoken(self) -> str:
        """What the player was given to hear so far."""
        return "".join(self._spoken)

    @property
    def abandoned(self) -> bool:
        """Whether no stream carries it (any more)."""
        return self._streams == 0

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

    def end(self, last: Happening) -> None:
        """Send the last event."""
        self.ended = True
        if self._patience is not None:
            self._patience.cancel()
        self.emit(last)
        self.on_end()

    def leave(self, grace_s: float) -> None:
        """A stream that carried the turn is gone. Without any, it is cancelled after ``grace_s`` seconds.

        What it says until then is remembered only if a stream takes it up.
        """
        self._streams -= 1
        if self.ended or self._streams > 0:
            return
        if grace_s <= 0:
            self.cancel()
            return
        self.heard_characters = len(self.spoken)
        self.outbox = Outbox()  # the old one is another stream's, or nobody's
        self._patience = asyncio.get_running_loop().call_later(grace_s, self.cancel)

    def join(self) -> None:
        """Another stream carries the turn, from its first word on."""
        self._streams += 1
        self.heard_characters = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def emit(self, what: Happening) -> None:
        """Send an event. Raises ``SlowReader`` if the reader is too far behind."""
        if self.outbox.put(TurnEvent(self.id, self.session_id, self.persona_id, len(self.record), what)):
            self.record.add(what)

    def say(self, delta: SpeechDelta) -> None:
        """Send more of the line. Raises as ``emit`` does, and then it was not said."""
        self.emit(delta)
        self._spoken.append(delta.text)
        self._said_at.append(time.monotonic())
