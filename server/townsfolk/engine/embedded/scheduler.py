"""Who decodes, who reads its prompt, who waits: continuous batching (Orca, Yu et al. 2022, OSDI) with chunked prefill.

The scheduler holds sequences and decides; it touches no tensor. A running sequence's index in ``running`` is its KV
row, always ``0 … n-1``.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from townsfolk.engine.embedded.adapter_pool import Slot
from townsfolk.engine.embedded.guide import Guide
from townsfolk.engine.embedded.json_grammar import Grammar
from townsfolk.engine.messages import Generate

ADAPTER_WAIT_LIMIT_S = 0.25  # after this, nobody behind a line that waits for a slot is admitted
ALONE_FACTOR = 4  # a prompt may be read in larger chunks while nobody's stream would stall


class Phase(enum.Enum):
    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"


class Placement(enum.Enum):
    """What came of trying to give a waiting sequence its place."""

    PLACED = "placed"
    NOT_READY = "not ready"  # its adapter or schema is being read, or another line is about to cache its prefix
    NO_ROOM = "no room"  # resident adapters are all in use
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class Sequence:
    """A line in the making. ``computed`` counts the tokens whose keys and values are in its row.

    ``grammar`` and, once it has its place, ``guide`` are there for a line that must be JSON.
    """

    request: Generate
    arrived: float
    grammar: Future[Grammar] | None = None
    order: int = 0
    phase: Phase = Phase.WAITING
    row: int = -1
    slot: Slot | None = None
    computed: int = 0
    cached: int = 0
    generated: list[int] = field(default_factory=list)
    guide: Guide | None = None

    @property
    def id(self) -> int:
        return self.request.request_id

    @property
    def scale(self) -> float:
        return self.request.adapter.scale if self.request.adapter else 0.0

    @property
    def tree_key(self) -> tuple[str, float]:
        adapter = self.request.adapter
        return (adapter.digest, adapter.scale) if adapter else ("", 0.0)

    @property
    def tokens(self) -> list[int]:
        return self.request.prompt + self.generated

    @property
    def next_token(self) -> int:
        return self.generated[-1] if self.generated else self.request.prompt[-1]


class Scheduler:
    """Queue and running set.

    Args:
        max_running: sequences that run together (KV rows).
        max_waiting: sequences that may wait.
        prefill_chunk: prompt tokens per step while others decode.
    """

    def __init__(self, max_running: int, max_waiting: int, prefill_chunk: int) -> None:
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.prefill_chunk = prefill_chunk
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        self._order = itertools.count()

    @property
    def idle(self) -> bool:
        return not self.running and not self.waiting

    @property
    def full(self) -> bool:
        return len(self.waiting) >= self.max_waiting

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence behind those of its priority."""
        sequence.order = next(self._order)
        self.waiting.append(sequence)
        self.waiting.sort(key=lambda s: (-s.request.priority, s.order))

    def find(self, request_id: int) -> Sequence | None:
        return next((s for s in itertools.chain(self.running, self.waiting) if s.id == request_id), None)

    def admit(self, place: Callable[[Sequence], Placement], now: float) -> list[Sequence]:
        """Give free rows to waiting sequences, in order; ``place`` finds room for the adapter of each.

        One that has to wait for its adapter lets others pass, but not for longer than ``ADAPTER_WAIT_LIMIT_S``: then
        slots drain until it gets one. Returns those admitted; those whose placement failed are dropped.
        """
        admitted: list[Sequence] = []
        for sequence in list(self.waiting):
            if len(self.running) >= self.max_running:
                break
            sequence.row = len(self.running)
            placement = place(sequence)
            if placement is Placement.PLACED:
                self.waiting.remove(sequence)
                self.running.append(sequence)
                sequence.phase = Phase.PREFILL
                admitted.append(sequence)
                continue
            sequence.row = -1
            if placement is Placement.FAILED:
                self.waiting.remove(sequence)
            elif placement is Placement.NO_ROOM and now - sequence.arrived > ADAPTER_WAIT_LIMIT_S:
                break
        return admitted

    def chunks(self) -> list[tuple[Sequence, int]]:
        """Which prompts are read in this step, and how many tokens of each; oldest first, within the budget."""
        decoding = any(s.phase is Phase.DECODE for s in self.running)
        budget = self.prefill_chunk * (1 if decoding else ALONE_FACTOR)
        plan: list[tuple[Sequence, int]] = []
        for sequence in sorted((s for s in self.running if s.phase is Phase.PREFILL), key=lambda s: s.order):
            if budget <= 0:
                break
            count = min(budget, len(sequence.request.prompt) - sequence.computed)
            plan.append((sequence, count))
            budget -= count
        return plan

    def decoding(self) -> list[Sequence]:
        """Sequences that decode in this step, by row."""
        return [s for s in self.running if s.phase is Phase.DECODE]

    def remove(self, sequence: Sequence) -> int | None:
        """Take a sequence out. Where it was running, the last row moves into its place: returns that old row."""
        if sequence.row < 0:
            self.waiting.remove(sequence)
            return None
        last = self.running.pop()
        if last is sequence:
            return None
        moved_from, last.row = last.row, sequence.row
        self.running[sequence.row] = last
        return moved_from
