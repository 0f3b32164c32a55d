"""Which tokens were made in one step. TensorRT-LLM does not say, so steps are told apart by when tokens arrive."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from townsfolk.engine.messages import Token


@dataclass(frozen=True, slots=True)
class Said:
    """A token of a line, before it is known which other lines spoke in the same step."""

    request_id: int
    token_id: int
    adapter: str


class Steps:
    """Numbers steps: tokens that arrive together are of one, unless a line has two of them."""

    def __init__(self) -> None:
        self.number = 0
        self.max_rows = 0
        self.adapters_per_step: Counter[int] = Counter()

    def number_tokens(self, arrived: list[Any]) -> list[Any]:
        """The events that arrived together, in order, each ``Said`` made the ``Token`` of a step."""
        events: list[Any] = []
        step: list[Any] = []
        members: set[int] = set()
        for event in arrived:
            if isinstance(event, Said):
                if event.request_id in members:
                    events += self._close(step)
                    step, members = [], set()
                members.add(event.request_id)
            step.append(event)
        return events + self._close(step)

    def _close(self, step: list[Any]) -> list[Any]:
        said = [event for event in step if isinstance(event, Said)]
        if not said:
            return step
        rows, adapters = len(said), len({event.adapter for event in said if event.adapter})
        self.number += 1
        self.max_rows = max(self.max_rows, rows)
        self.adapters_per_step[adapters] += 1
        return [
            Token(event.request_id, event.token_id, self.number, rows, adapters) if isinstance(event, Said) else event
            for event in step
        ]
