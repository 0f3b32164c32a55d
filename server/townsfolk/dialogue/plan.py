"""What the engine is asked for one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from townsfolk.dialogue.prompt import Exchange
from townsfolk.engine.messages import AdapterRef, SamplingParams


@dataclass(frozen=True, slots=True)
class LinePlan:
    """A line before it is spoken: its prompt as token ids, how tokens are drawn, what ends it, whose voice it has.

    ``history`` are the exchanges that the prompt holds; ``top_tokens`` and ``json_schema`` as in ``Generate``.
    A line with a schema should have no ``stops``: they would end it in the middle of a JSON string.
    """

    prompt: Sequence[int]
    sampling: SamplingParams
    stops: list[str]
    adapter: AdapterRef | None
    history: Sequence[Exchange] = ()
    top_tokens: int = 0
    json_schema: str = ""
