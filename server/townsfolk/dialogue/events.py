"""What happens in a turn, as plain dataclasses; ``daemon/convert.py`` turns them into messages of the API."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from townsfolk.engine.messages import TokenLikelihood
from townsfolk.errors import TownsfolkError


class FinishReason(StrEnum):
    """Why a line ended; see ``FinishReason`` in the API."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"


class FallbackReason(StrEnum):
    """Why an authored line was spoken in place of the model's; the words of ``persona.toml`` and of the API."""

    BUSY = "busy"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class TurnStats:
    """What a turn cost, as in the API. Times are in seconds from the moment the daemon read the request."""

    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0
    queue_s: float = 0.0
    time_to_first_token_s: float = 0.0
    total_s: float = 0.0
    tokens_per_s: float = 0.0
    max_batch_rows: int = 0
    max_batch_adapters: int = 0
    first_step: int = 0
    last_step: int = 0
    shared_steps: int = 0


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The engine took the turn up. ``adapter_digest`` is empty where the base model speaks alone."""

    adapter_digest: str
    prompt_tokens: int
    cached_prompt_tokens: int


@dataclass(slots=True)
class SpeechDelta:
    """More of the line; ``token_count`` tokens stand behind it, the latest of them sampled at ``sampled_unix_ns``.

    ``likelihoods``: of these tokens, in order, where the turn asked for them.
    """

    text: str
    token_count: int
    sampled_unix_ns: int = 0
    likelihoods: tuple[TokenLikelihood, ...] = ()

    def extend(self, later: SpeechDelta) -> None:
        """Add what comes right after it."""
        self.text += later.text
        self.token_count += later.token_count
        self.sampled_unix_ns = later.sampled_unix_ns
        self.likelihoods += later.likelihoods


@dataclass(frozen=True, slots=True)
class EmotionShown:
    """The persona shows one of its emotions."""

    name: str


@dataclass(frozen=True, slots=True)
class ActionTaken:
    """The persona does one of its actions; ``arguments`` are plain JSON values by name."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The turn ended. ``text`` is all its deltas together; ``fallback`` tells why it is an authored line, if it is."""

    reason: FinishReason
    text: str
    stats: TurnStats
    fallback: FallbackReason | None = None


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """The turn ended with an error."""

    error: TownsfolkError


Happening = TurnStarted | SpeechDelta | EmotionShown | ActionTaken | TurnFinished | TurnFailed
ENDS = (TurnFinished, TurnFailed)


@dataclass(slots=True)  # not frozen: there is one for every token, and frozen ones take three times as long to make
class TurnEvent:
    """One thing that happened in one turn; ``sequence`` counts from 0 without gaps."""

    turn_id: str
    session_id: str
    persona_id: str
    sequence: int
    what: Happening

    @property
    def last(self) -> bool:
        """Whether nothing follows in this turn."""
        return isinstance(self.what, ENDS)
