"""Which part of a prompt is worth keeping KV for: what the lines of one adapter begin with."""

from __future__ import annotations

from collections import OrderedDict

SHORTEST = 32  # tokens: one block of TensorRT-LLM's KV cache; below that nothing can be reused


class KeptPrefixes:
    """The common beginning of the prompts of each adapter, learnt from the prompts themselves.

    A persona's lines all begin with who it is. A second turn of one session shares more than that with the first, so
    the beginning only ever gets shorter, until a prompt that shares nothing starts it anew. Keeps ``bound`` adapters.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._prefixes: OrderedDict[str, list[int]] = OrderedDict()

    def of(self, adapter: str, prompt: list[int]) -> int:
        """How many leading tokens of ``prompt`` other lines of ``adapter`` had, too; 0 for the first."""
        known = self._prefixes.get(adapter)
        shared = _common_length(known, prompt) if known is not None else 0
        learnt = shared >= SHORTEST
        self._prefixes[adapter] = prompt[:shared] if learnt else prompt
        self._prefixes.move_to_end(adapter)
        if len(self._prefixes) > self._bound:
            self._prefixes.popitem(last=False)
        return shared if learnt else 0


def _common_length(one: list[int], other: list[int]) -> int:
    for length, (ours, theirs) in enumerate(zip(one, other, strict=False)):
        if ours != theirs:
            return length
    return min(len(one), len(other))
