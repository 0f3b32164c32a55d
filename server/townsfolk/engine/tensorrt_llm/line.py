"""What waits for a place in TensorRT-LLM's batch: lines, and adapters to be warmed up."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from townsfolk.engine.messages import AdapterRef, Generate


@dataclass(eq=False, slots=True)
class Line:
    """A line from its request to its end. ``result`` is TensorRT-LLM's, once the line has been handed over."""

    request: Generate
    arrived: float = field(default_factory=time.monotonic)
    admitted: float = 0.0
    result: Any = None
    started: bool = False
    ended: bool = False
    tokens: int = 0

    @property
    def adapter(self) -> AdapterRef | None:
        return self.request.adapter

    @property
    def priority(self) -> int:
        return self.request.priority


@dataclass(eq=False, slots=True)
class WarmUp:
    """A call to have an adapter read before its first line."""

    call_id: int
    adapter: AdapterRef
    priority: int = 0
