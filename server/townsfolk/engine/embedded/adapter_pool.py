"""Where adapters live while they speak: slots on the device, whole adapters in host memory.

All resident adapters lie side by side along one *column* axis: an adapter of rank r owns r neighbouring columns of
every projection (rounded up to ``COLUMN_GRANULE``), so that ranks may differ freely. The pool hands out columns; what
is kept in them is the business of an ``AdapterStorage``.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol

from townsfolk.engine.embedded.peft_adapter import AdapterWeights

COLUMN_GRANULE = 8  # columns per allocation unit: keeps GEMM sizes friendly and fragmentation low


@dataclass(slots=True)
class Slot:
    """The columns ``[start, start + width)`` that a resident adapter owns, and how many lines use it now."""

    digest: str
    start: int
    width: int
    pins: int = 0

    @property
    def stop(self) -> int:
        return self.start + self.width


class HostAdapter(Protocol):
    """An adapter in host memory, in the form that a storage takes."""

    @property
    def digest(self) -> str: ...

    @property
    def rank(self) -> int: ...

    @property
    def bytes(self) -> int: ...


class AdapterStorage(Protocol):
    """Where the weights of resident adapters are, for the decoder that reads them."""

    def prepare(self, weights: AdapterWeights) -> HostAdapter:
        """Bring an adapter into the form that ``write`` takes; called on the reader thread."""
        ...

    def write(self, slot: Slot, adapter: Any) -> None:
        """Make a prepared adapter readable in its slot."""
        ...

    def clear(self, slot: Slot) -> None:
        """Forget what the slot held."""
        ...


class AdapterPool:
    """Device tier: a fixed number of columns and slots, least recently used out first, pinned ones never.

    Args:
        columns: sum of ranks that can be resident together (rounded up to ``COLUMN_GRANULE``).
        max_slots: adapters that can be resident together.
        storage: keeps their weights.
    """

    def __init__(self, columns: int, max_slots: int, storage: AdapterStorage) -> None:
        self.columns = round_up(columns)
        self.max_slots = max_slots
        self.storage = storage
        self._slots: OrderedDict[str, Slot] = OrderedDict()  # least recently used first
        self.loads = 0
        self.evictions = 0

    @property
    def resident(self) -> list[str]:
        """Digests in slots, least recently used first."""
        return list(self._slots)

    @property
    def high_water(self) -> int:
        """One past the last column in use."""
        return max((slot.stop for slot in self._slots.values()), default=0)

    def find(self, digest: str) -> Slot | None:
        return self._slots.get(digest)

    def pin(self, digest: str) -> Slot:
        """Keep a resident adapter until ``unpin``, and count it as just used."""
        slot = self._slots[digest]
        slot.pins += 1
        self._slots.move_to_end(digest)
        return slot

    def unpin(self, digest: str) -> None:
        slot = self._slots[digest]
        if slot.pins == 0:
            raise RuntimeError(f"adapter {digest[:12]} is not pinned")
        slot.pins -= 1

    def can_hold(self, rank: int) -> bool:
        """Whether an adapter of this rank would fit into an empty pool."""
        return round_up(rank) <= self.columns

    def insert(self, adapter: HostAdapter) -> Slot | None:
        """Make an adapter resident, evicting unpinned ones as needed; ``None`` while pinned ones leave no room."""
        if (slot := self._slots.get(adapter.digest)) is not None:
            return slot
        width = round_up(adapter.rank)
        victims = [s for s in self._slots.values() if s.pins == 0]
        start = self._find_gap(width, gone=[])
        evicted: list[Slot] = []
        while start is None or len(self._slots) - len(evicted) >= self.max_slots:
            if not victims:
                return None
            evicted.append(victims.pop(0))
            start = self._find_gap(width, gone=evicted)
        for slot in evicted:
            self.evict(slot.digest)
        slot = Slot(adapter.digest, start, width)
        self.storage.write(slot, adapter)
        self._slots[adapter.digest] = slot
        self.loads += 1
        return slot

    def evict(self, digest: str) -> None:
        """Free an adapter's columns. Raises ``RuntimeError`` while a line uses it."""
        slot = self._slots[digest]
        if slot.pins:
            raise RuntimeError(f"adapter {digest[:12]} is in use by {slot.pins} lines")
        self.storage.clear(slot)
        del self._slots[digest]
        self.evictions += 1

    def check_integrity(self, pins: int) -> None:
        """Raise ``RuntimeError`` unless slots are disjoint, in bounds, and pinned ``pins`` times in all."""
        end = 0
        for slot in sorted(self._slots.values(), key=lambda s: s.start):
            if slot.start < end or slot.stop > self.columns:
                raise RuntimeError(f"slot {slot} overlaps its neighbour or the end of the pool")
            end = slot.stop
        pinned = sum(slot.pins for slot in self._slots.values())
        if pinned != pins:
            raise RuntimeError(f"{pinned} pins are held for {pins} running lines")

    def _find_gap(self, width: int, gone: list[Slot]) -> int | None:
        start = 0
        for slot in sorted((s for s in self._slots.values() if s not in gone), key=lambda s: s.start):
            if slot.start - start >= width:
                return start
            start = slot.stop
        return start if self.columns - start >= width else None


class HostAdapters:
    """Host tier: adapters read from disk and prepared, least recently used out first, bounded in bytes."""

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self._adapters: OrderedDict[str, HostAdapter] = OrderedDict()
        self.bytes = 0

    @property
    def digests(self) -> list[str]:
        return list(self._adapters)

    def get(self, digest: str) -> HostAdapter | None:
        adapter = self._adapters.get(digest)
        if adapter is not None:
            self._adapters.move_to_end(digest)
        return adapter

    def put(self, adapter: HostAdapter) -> None:
        self.remove(adapter.digest)
        self._adapters[adapter.digest] = adapter
        self.bytes += adapter.bytes
        while self.bytes > self.capacity_bytes and len(self._adapters) > 1:
            self.remove(next(iter(self._adapters)))

    def remove(self, digest: str) -> None:
        adapter = self._adapters.pop(digest, None)
        if adapter is not None:
            self.bytes -= adapter.bytes


def round_up(rank: int) -> int:
    """Columns that an adapter of this rank takes."""
    return -(-rank // COLUMN_GRANULE) * COLUMN_GRANULE
