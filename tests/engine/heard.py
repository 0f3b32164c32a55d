"""A listener for tests."""

from __future__ import annotations

import asyncio

from townsfolk.engine.messages import Started, Step, TokenLikelihood


class Heard:
    """A listener that writes down what it hears; it raises ``error`` at the ``fail_at``-th token, counted from 1."""

    def __init__(self, error: Exception | None = None, fail_at: int = 0) -> None:
        self.starts: list[Started] = []
        self.tokens: list[int] = []
        self.steps: list[Step] = []
        self.likelihoods: list[TokenLikelihood] = []
        self.first = asyncio.Event()
        self._error = error
        self._fail_at = fail_at

    def started(self, started: Started) -> None:
        assert not self.tokens
        self.starts.append(started)

    def sampled(self, token_id: int, step: Step, likelihood: TokenLikelihood | None = None) -> None:
        self.tokens.append(token_id)
        self.steps.append(step)
        if likelihood is not None:
            self.likelihoods.append(likelihood)
        self.first.set()
        if self._error is not None and len(self.tokens) == self._fail_at:
            raise self._error
