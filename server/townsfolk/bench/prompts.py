"""Prompts that nobody has read before, so that no prefix cache shortens a run that is repeated."""

from __future__ import annotations

from townsfolk.bench.workload import random_prompts


class FreshPrompts:
    """Hands out random prompts; every call uses a seed of its own."""

    def __init__(self, vocab_size: int, seed: int = 0) -> None:
        self._vocab_size = vocab_size
        self._seed = seed

    def take(self, count: int, tokens: int) -> list[list[int]]:
        """``count`` new prompts of ``tokens`` token ids each."""
        self._seed += 1
        return random_prompts(count, tokens, self._vocab_size, self._seed)
