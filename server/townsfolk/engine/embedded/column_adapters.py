"""Adapters as columns of stacked matrices, for a decoder made of GEMMs.

For a batch of rows X, ``T = X·Aᵀ`` gives every row its product with every column; multiplying T with a row-by-column
ownership mask keeps a row's own columns, exactly zero for base rows; ``Y += T·B``. Two GEMMs, however many adapters
take part. The idea of serving different adapters in one batch is that of Punica (Chen et al. 2023, arXiv:2310.18547)
and S-LoRA (Sheng et al. 2023, arXiv:2311.03285); there is no gather of weights per row here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from townsfolk.engine.embedded.adapter_pool import Slot, round_up
from townsfolk.engine.embedded.peft_adapter import AdapterWeights
from townsfolk.engine.embedded.spec import ModelSpec

# Projections that read the same input are adapted together: (group, projections in the order of the fused weight).
GROUPS: dict[str, tuple[str, ...]] = {
    "qkv": ("q_proj", "k_proj", "v_proj"),
    "o": ("o_proj",),
    "gate_up": ("gate_proj", "up_proj"),
    "down": ("down_proj",),
}


@dataclass(frozen=True, slots=True)
class GroupWeights:
    """LoRA weights of one fused projection in one layer.

    ``a``: ``[columns · P, in]``, row ``c·P + p`` is column c of projection p. ``b``: P tensors ``[columns, out_p]``.
    """

    a: torch.Tensor
    b: tuple[torch.Tensor, ...]


class ColumnAdapters:
    """Columns of all projections on the device.

    Args:
        spec: of the base model.
        columns: sum of ranks that can be resident together.
    """

    def __init__(self, spec: ModelSpec, columns: int, dtype: torch.dtype, device: torch.device) -> None:
        self._columns = round_up(columns)
        self.layers: list[dict[str, GroupWeights]] = [
            {group: self._allocate_group(spec, projections, dtype, device) for group, projections in GROUPS.items()}
            for _ in range(spec.num_layers)
        ]

    def _allocate_group(
        self, spec: ModelSpec, projections: tuple[str, ...], dtype: torch.dtype, device: torch.device
    ) -> GroupWeights:
        in_features = spec.projection_shape(projections[0])[1]
        a = torch.zeros(self._columns * len(projections), in_features, dtype=dtype, device=device)
        b = tuple(
            torch.zeros(self._columns, spec.projection_shape(p)[0], dtype=dtype, device=device) for p in projections
        )
        return GroupWeights(a, b)

    def prepare(self, weights: AdapterWeights) -> AdapterWeights:
        """They are copied as they are."""
        return weights

    def write(self, slot: Slot, adapter: AdapterWeights) -> None:
        """Copy an adapter into its columns; what it does not adapt, and the padding of its ranks, becomes zero."""
        for layer, groups in enumerate(self.layers):
            for group, projections in GROUPS.items():
                target = groups[group]
                count = len(projections)
                rows = target.a[slot.start * count : slot.stop * count].view(slot.width, count, -1)
                for p, projection in enumerate(projections):
                    pair = adapter.pairs.get((layer, projection))
                    rank = 0 if pair is None else pair.a.shape[0]
                    b = target.b[p][slot.start : slot.stop]
                    if pair is not None:
                        rows[:rank, p].copy_(pair.a)
                        b[:rank].copy_(pair.b)
                    rows[rank:, p].zero_()
                    b[rank:].zero_()

    def clear(self, slot: Slot) -> None:
        """Columns that nobody owns are left as they are: no row's mask lets them through."""
