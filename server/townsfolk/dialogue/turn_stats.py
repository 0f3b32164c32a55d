"""The stopwatch of one turn."""

from __future__ import annotations

import time

from townsfolk.dialogue.events import TurnStats
from townsfolk.engine.messages import Started, Step


class TurnMeter:
    """Gathers a turn's ``TurnStats`` from the engine's events. It starts when it is made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._asked: float | None = None
        self._engine_queue_s: float | None = None
        self._first_token: float | None = None
        self._last_token = 0.0
        self._tokens = 0
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._max_rows = 0
        self._max_adapters = 0
        self._first_step: int | None = None
        self._last_step = 0
        self._shared_steps = 0

    def asked(self) -> None:
        """The line goes to the engine now."""
        self._asked = time.monotonic()

    def admitted(self, started: Started) -> None:
        """The engine gave the line a row. It says so only after the step, but knows how long the line had waited."""
        self._engine_queue_s = started.queue_s
        self._prompt_tokens = started.prompt_tokens
        self._cached_tokens = started.cached_tokens

    def sampled(self, step: Step) -> None:
        """A token came, made by ``step``."""
        self._last_token = time.monotonic()
        self._tokens += 1
        if self._first_token is None:
            # sampled by the step that read the end of the prompt: the line is not yet among that step's decoding rows
            self._first_token = self._last_token
            return
        if self._first_step is None:
            self._first_step = step.number
        self._last_step = step.number
        if step.rows > self._max_rows:  # not max(): a call for every token
            self._max_rows = step.rows
        if step.adapters > self._max_adapters:
            self._max_adapters = step.adapters
        if step.adapters > 1:
            self._shared_steps += 1

    def since_asked(self, monotonic_s: float) -> float:
        """Seconds from the moment when the daemon read the request to one by the monotonic clock."""
        return monotonic_s - self._began

    @property
    def sent_s(self) -> float | None:
        """When the line went to the engine, in the same seconds; ``None`` before that."""
        return None if self._asked is None else self.since_asked(self._asked)

    def stats(self) -> TurnStats:
        """The figures up to now."""
        now = time.monotonic()
        before_engine_s = (now if self._asked is None else self._asked) - self._began
        in_engine_s = now - (self._asked or now) if self._engine_queue_s is None else self._engine_queue_s
        speaking_s = self._last_token - (self._first_token or 0.0)
        return TurnStats(
            prompt_tokens=self._prompt_tokens,
            cached_prompt_tokens=self._cached_tokens,
            completion_tokens=self._tokens,
            queue_s=before_engine_s + in_engine_s,
            time_to_first_token_s=self._first_token - self._began if self._first_token is not None else 0.0,
            total_s=now - self._began,
            tokens_per_s=(self._tokens - 1) / speaking_s if self._tokens > 1 and speaking_s > 0 else 0.0,
            max_batch_rows=self._max_rows,
            max_batch_adapters=self._max_adapters,
            first_step=self._first_step or 0,
            last_step=self._last_step,
            shared_steps=self._shared_steps,
        )
