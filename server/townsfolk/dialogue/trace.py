"""What happened to the turns of late, kept in memory for developers to look at and to speak again."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from townsfolk.dialogue.events import ENDS, Happening, TurnFailed, TurnFinished, TurnStats
from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.running_turn import Turn
from townsfolk.errors import from_status

KEPT_TRACES = 256
KEPT_PROMPT_TOKENS = 1_000_000  # of all traces together: about 20 MB with their histories


@dataclass(frozen=True, slots=True)
class TurnTrace:
    """One turn, from its request to its end. Seconds count from the moment when the daemon read the request.

    ``plan`` is ``None`` where the turn ended before its prompt was built, ``last`` while it runs, ``sent_s`` until the
    line goes to the engine.
    """

    id: str
    session_id: str
    persona_id: str
    player_name: str
    text: str
    situation: str
    priority: int
    deadline_s: float
    asked_stops: tuple[str, ...]
    asked_unix_s: float
    sent_s: float | None
    plan: LinePlan | None
    deltas: tuple[tuple[float, str], ...]
    stats: TurnStats
    last: TurnFinished | TurnFailed | None

    @property
    def spoken(self) -> str:
        """What the player was given to hear."""
        return self.last.text if isinstance(self.last, TurnFinished) else "".join(text for _, text in self.deltas)


def trace_of(turn: Turn, last: Happening | None = None) -> TurnTrace:
    """The turn as it is now, or as it ended with ``last``. Holds nothing that the turn holds alive."""
    plan = turn.plan and replace(turn.plan, prompt=array("I", turn.plan.prompt))
    if isinstance(last, TurnFailed):  # a copy, because an error that was raised holds on to every frame it came through
        error = last.error
        last = TurnFailed(from_status(error.status, error.message, field=error.field))
    return TurnTrace(
        id=turn.id,
        session_id=turn.session_id,
        persona_id=turn.persona_id,
        player_name=turn.session.player_name if turn.session else "",
        text=turn.text,
        situation=turn.situation,
        priority=turn.priority,
        deadline_s=turn.deadline_s,
        asked_stops=turn.asked_stops,
        asked_unix_s=turn.asked_unix_s,
        sent_s=turn.meter.sent_s,
        plan=plan,
        deltas=tuple(turn.deltas),
        stats=last.stats if isinstance(last, TurnFinished) else turn.meter.stats(),
        last=last if isinstance(last, ENDS) else None,
    )


class TraceLog:
    """The newest turns that ended.

    Args:
        most: how many.
        most_prompt_tokens: how long their prompts may be together; the newest one is kept whatever its length.
    """

    def __init__(self, most: int = KEPT_TRACES, most_prompt_tokens: int = KEPT_PROMPT_TOKENS) -> None:
        self._most = most
        self._most_prompt_tokens = most_prompt_tokens
        self._traces: deque[TurnTrace] = deque()
        self._prompt_tokens = 0

    def __iter__(self) -> Iterator[TurnTrace]:
        """In the order of their ends."""
        return iter(self._traces)

    def __len__(self) -> int:
        return len(self._traces)

    def keep(self, turn: Turn, last: Happening) -> None:
        """A turn ended with ``last``."""
        trace = trace_of(turn, last)
        self._traces.append(trace)
        self._prompt_tokens += _prompt_tokens(trace)
        while len(self._traces) > self._most or (
            len(self._traces) > 1 and self._prompt_tokens > self._most_prompt_tokens
        ):
            self._prompt_tokens -= _prompt_tokens(self._traces.popleft())


def _prompt_tokens(trace: TurnTrace) -> int:
    return len(trace.plan.prompt) if trace.plan else 0
