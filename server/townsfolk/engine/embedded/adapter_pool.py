"""Where adapters live while they speak: rank columns on the device, whole adapters in host memory.

All resident adapters lie side by side along one *column* axis: an adapter of rank r owns r neighbouring columns of
every projection (rounded up to ``COLUMN_GRANULE``), so that ranks may differ freely. For a batch of rows X,
``T = X·Aᵀ`` gives every row its product with every column; multiplying T with a row-by-column ownership mask keeps
a row's own columns, exactly zero for base rows; ``Y += T·B``. Two GEMMs, however many adapters take part. The idea of
serving different adapters in one batch is that of Punica (Chen et al. 2023, arXiv:2310.18547) and S-LoRA (Sheng et
al. 2023, arXiv:2311.03285); there is no gather of weights per row here, so it runs at GEMM speed on a CPU too.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch

from townsfolk.engine.embedded.peft_adapter import AdapterWeights
from townsfolk.engine.embedded.spec import ModelSpec

COLUMN_GRANULE = 8  # columns per allocation unit: keeps GEMM sizes friendly and fragmentation low

# Projections that read the same input are adapted together: (group, projections in the order of the fused weight).
GROUPS: dict[str, tuple[str, ...]] = {
    "qkv": ("q_proj", "k_proj", "v_proj"),
    "o": ("o_proj",),
    "gate_up": ("gate_proj", "up_proj"),
    "down": ("down_proj",),
}


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


@dataclass(frozen=True, slots=True)
class GroupWeights:
    """LoRA weights of one fused projection in one layer.

    ``a``: ``[columns · P, in]``, row ``c·P + p`` is column c of projection p. ``b``: P tensors ``[columns, out_p]``.
    """

    a: torch.Tensor
    b: tuple[torch.Tensor, ...]


class AdapterPool:
    """Device tier: a fixed number of columns and slots, least recently used out first, pinned ones never.

    Args:
        spec: of the base model.
        columns: sum of ranks that can be resident together (rounded up to ``COLUMN_GRANULE``).
        max_slots: adapters that can be resident together.
    """

    def __init__(self, spec: ModelSpec, columns: int, max_slots: int, dtype: torch.dtype, device: torch.device) -> None:
        self.columns = _round_up(columns)
        self.max_slots = max_slots
        self._slots: OrderedDict[str, Slot] = OrderedDict()  # least recently used first
        self.loads = 0
        self.evictions = 0
        self.layers: list[dict[str, GroupWeights]] = [
            {group: self._allocate_group(spec, projections, dtype, device) for group, projections in GROUPS.items()}
            for _ in range(spec.num_layers)
        ]

    def _allocate_group(
        self, spec: ModelSpec, projections: tuple[str, ...], dtype: torch.dtype, device: torch.device
    ) -> GroupWeights:
        in_features = spec.projection_shape(projections[0])[1]
        a = torch.zeros(self.columns * len(projections), in_features, dtype=dtype, device=device)
        b = tuple(
            torch.zeros(self.columns, spec.projection_shape(p)[0], dtype=dtype, device=device) for p in projections
        )
        return GroupWeights(a, b)

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
        return _round_up(rank) <= self.columns

    def insert(self, weights: AdapterWeights) -> Slot | None:
        """Make an adapter resident, evicting unpinned ones as needed; ``None`` while pinned ones leave no room."""
        if (slot := self._slots.get(weights.digest)) is not None:
            return slot
        width = _round_up(weights.rank)
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
        slot = Slot(weights.digest, start, width)
        self._write(slot, weights)
        self._slots[weights.digest] = slot
        self.loads += 1
        return slot

    def evict(self, digest: str) -> None:
        """Free an adapter's columns. Raises ``RuntimeError`` while a line uses it."""
        slot = self._slots[digest]
        if slot.pins:
            raise RuntimeError(f"adapter {digest[:12]} is in use by {slot.pins} lines")
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

    def _write(self, slot: Slot, weights: AdapterWeights) -> None:
        """Copy an adapter into its columns; what it does not adapt, and the padding of its ranks, becomes zero."""
        for layer, groups in enumerate(self.layers):
            for group, projections in GROUPS.items():
                target = groups[group]
                count = len(projections)
                rows = target.a[slot.start * count : slot.stop * count].view(slot.width, count, -1)
                for p, projection in enumerate(projections):
                    pair = weights.pairs.get((layer, projection))
                    rank = 0 if pair is None else pair.a.shape[0]
                    b = target.b[p][slot.start : slot.stop]
                    if pair is not None:
                        rows[:rank, p].copy_(pair.a)
                        b[:rank].copy_(pair.b)
                    rows[rank:, p].zero_()
                    b[rank:].zero_()


class HostAdapters:
    """Host tier: adapters as read from disk, least recently used out first, bounded in bytes."""

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self._adapters: OrderedDict[str, AdapterWeights] = OrderedDict()
        self.bytes = 0

    @property
    def digests(self) -> list[str]:
        return list(self._adapters)

    def get(self, digest: str) -> AdapterWeights | None:
        weights = self._adapters.get(digest)
        if weights is not None:
            self._adapters.move_to_end(digest)
        return weights

    def put(self, weights: AdapterWeights) -> None:
        self.remove(weights.digest)
        self._adapters[weights.digest] = weights
        self.bytes += weights.bytes
        while self.bytes > self.capacity_bytes and len(self._adapters) > 1:
            self.remove(next(iter(self._adapters)))

    def remove(self, digest: str) -> None:
        weights = self._adapters.pop(digest, None)
        if weights is not None:
            self.bytes -= weights.bytes


def _round_up(rank: int) -> int:
    return -(-rank // COLUMN_GRANULE) * COLUMN_GRANULE
