"""Keys and values of running lines: one row a line, rows always packed at the front.

Layout per layer: ``[rows, kv_heads, context, head_dim]``. Because rows ``0 … n-1`` are the running ones, the decode
attention of all of them is two batched GEMMs over a view, without a gather.
"""

from __future__ import annotations

import numpy as np
import torch

from townsfolk.engine.embedded.spec import ModelSpec


class KvCache:
    """Fixed memory for ``rows`` lines of up to ``context`` tokens."""

    def __init__(self, spec: ModelSpec, rows: int, context: int, dtype: torch.dtype, device: torch.device) -> None:
        self.rows = rows
        self.context = context
        shape = (spec.num_layers, rows, spec.num_kv_heads, context, spec.head_dim)
        self.keys = zeros_on_demand(shape, dtype, device)
        self.values = zeros_on_demand(shape, dtype, device)

    def write(self, layer: int, rows: torch.Tensor, positions: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> None:
        """Store ``k`` and ``v`` ``[N, kv_heads, head_dim]`` at ``rows[N]``, ``positions[N]``."""
        self.keys[layer][rows, :, positions] = k
        self.values[layer][rows, :, positions] = v

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens of one row over another."""
        self.keys[:, target, :, :length] = self.keys[:, source, :, :length]
        self.values[:, target, :, :length] = self.values[:, source, :, :length]

    def load(self, row: int, tokens: torch.Tensor) -> None:
        """Fill the front of a row from prefix-cache entries ``[n, layers, 2, kv_heads, head_dim]``."""
        n = tokens.shape[0]
        by_layer = tokens.permute(2, 1, 3, 0, 4)  # [2, layers, kv_heads, n, head_dim]
        self.keys[:, row, :, :n] = by_layer[0]
        self.values[:, row, :, :n] = by_layer[1]

    def read(self, row: int, start: int, stop: int) -> torch.Tensor:
        """Tokens ``[start, stop)`` of a row as prefix-cache entries ``[n, layers, 2, kv_heads, head_dim]``."""
        keys = self.keys[:, row, :, start:stop]
        values = self.values[:, row, :, start:stop]
        return torch.stack((keys, values)).permute(3, 1, 0, 2, 4)


def zeros_on_demand(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros that cost memory only once touched: on a CPU the pages come from the operating system when first used."""
    if device.type != "cpu" or 0 in shape:
        return torch.zeros(shape, dtype=dtype, device=device)
    count = int(np.prod(shape)) * dtype.itemsize
    return torch.from_numpy(np.zeros(count, dtype=np.uint8)).view(dtype).view(shape)
