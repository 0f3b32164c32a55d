"""The transformer: one forward pass over a step's tokens, those of decoding lines and of prompts alike.

A step is a flat list of N tokens. The first D belong to decoding lines, one each; behind them follow segments, each a
chunk of one line's prompt. Linear layers see all N at once. Attention of the decode tokens is two batched GEMMs over
the KV rows; that of a segment is one call of scaled-dot-product attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from townsfolk.engine.embedded.adapter_pool import AdapterPool, Slot
from townsfolk.engine.embedded.checkpoint import Checkpoint
from townsfolk.engine.embedded.column_adapters import ColumnAdapters, GroupWeights
from townsfolk.engine.embedded.kv_cache import KvCache


@dataclass(frozen=True, slots=True)
class PromptChunk:
    """``tokens[start:stop]`` of the step are positions ``position …`` of the line in KV row ``row``."""

    row: int
    start: int
    stop: int
    position: int
    slot: Slot | None
    scale: float


@dataclass(frozen=True, slots=True)
class Step:
    """What one forward pass computes.

    ``tokens``, ``positions``, ``rows``: int64 ``[N]``. The first ``decode_count`` are decode tokens, whose adapters are
    ``decode_slots`` (``None`` for base rows) and ``decode_scales``. ``row_count``: KV rows in use, all below it.
    ``sampled``: indices into ``[0, N)`` whose logits are wanted.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    rows: torch.Tensor
    decode_count: int
    decode_slots: Sequence[Slot | None]
    decode_scales: Sequence[float]
    chunks: Sequence[PromptChunk]
    row_count: int
    longest: int  # tokens of the longest decoding line, the new one included
    sampled: torch.Tensor


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights of one block; projections that share an input are stacked along their output."""

    input_norm: torch.Tensor
    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    q_norm: torch.Tensor | None
    k_norm: torch.Tensor | None
    o: torch.Tensor
    post_norm: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


class Decoder:
    """A base model in memory. Weights come from a ``Checkpoint`` and are kept in ``dtype`` on ``device``."""

    def __init__(self, checkpoint: Checkpoint, max_context: int, dtype: torch.dtype, device: torch.device) -> None:
        self.spec = checkpoint.spec
        self.dtype, self.device = dtype, device

        def load(name: str) -> torch.Tensor:
            return checkpoint.tensor(name).to(device=device, dtype=dtype)

        self.embeddings = load("model.embed_tokens.weight")
        self.head = self.embeddings if self.spec.tied_embeddings else load("lm_head.weight")
        self.final_norm = load("model.norm.weight")
        self.layers = [self._load_layer(load, f"model.layers.{i}.") for i in range(self.spec.num_layers)]
        angles = torch.outer(torch.arange(max_context, dtype=torch.float32), checkpoint.inverse_frequencies)
        self._cos = angles.cos().to(device=device, dtype=dtype)
        self._sin = angles.sin().to(device=device, dtype=dtype)

    def _load_layer(self, load: Callable[[str], torch.Tensor], prefix: str) -> Layer:
        attention, mlp = prefix + "self_attn.", prefix + "mlp."
        qkv = [f"{attention}{p}_proj" for p in "qkv"]
        return Layer(
            input_norm=load(prefix + "input_layernorm.weight"),
            qkv=torch.cat([load(f"{name}.weight") for name in qkv]),
            qkv_bias=torch.cat([load(f"{name}.bias") for name in qkv]) if self.spec.qkv_bias else None,
            q_norm=load(attention + "q_norm.weight") if self.spec.qk_norm else None,
            k_norm=load(attention + "k_norm.weight") if self.spec.qk_norm else None,
            o=load(attention + "o_proj.weight"),
            post_norm=load(prefix + "post_attention_layernorm.weight"),
            gate_up=torch.cat([load(mlp + "gate_proj.weight"), load(mlp + "up_proj.weight")]),
            down=load(mlp + "down_proj.weight"),
        )

    def forward(self, step: Step, kv: KvCache, pool: AdapterPool) -> torch.Tensor:
        """Logits fp32 ``[len(step.sampled), vocab]``; keys and values of all N tokens are in ``kv`` afterwards."""
        storage = pool.storage
        assert isinstance(storage, ColumnAdapters)
        spec = self.spec
        lora = _StepLora(step, pool, self.dtype, self.device)
        cos = self._cos[step.positions][:, None, :]
        sin = self._sin[step.positions][:, None, :]
        decode_mask = _decode_mask(step, self.device)
        x = self.embeddings[step.tokens]
        for index, layer in enumerate(self.layers):
            weights = storage.layers[index]
            h = self._norm(x, layer.input_norm)
            qkv = F.linear(h, layer.qkv, layer.qkv_bias)
            lora.add(qkv, h, weights["qkv"])
            q, k, v = torch.split(qkv, [spec.q_size, spec.kv_size, spec.kv_size], dim=-1)
            q = q.view(-1, spec.num_heads, spec.head_dim)
            k = k.view(-1, spec.num_kv_heads, spec.head_dim)
            v = v.view(-1, spec.num_kv_heads, spec.head_dim)
            if layer.q_norm is not None and layer.k_norm is not None:
                q, k = self._norm(q, layer.q_norm), self._norm(k, layer.k_norm)
            q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
            kv.write(index, step.rows, step.positions, k, v)
            attended = self._attend(q, kv, index, step, decode_mask)
            projected = F.linear(attended, layer.o)
            lora.add(projected, attended, weights["o"])
            x = x + projected
            h = self._norm(x, layer.post_norm)
            gate_up = F.linear(h, layer.gate_up)
            lora.add(gate_up, h, weights["gate_up"])
            gate, up = gate_up.chunk(2, dim=-1)
            h = F.silu(gate) * up
            projected = F.linear(h, layer.down)
            lora.add(projected, h, weights["down"])
            x = x + projected
        x = self._norm(x[step.sampled], self.final_norm)
        return F.linear(x, self.head).to(torch.float32)

    def close(self) -> None:
        """Nothing to do: tensors free themselves."""

    def _norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467), computed in fp32 as the models were trained."""
        wide = x.to(torch.float32)
        wide = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.spec.norm_eps)
        return wide.to(self.dtype) * weight

    def _attend(
        self, q: torch.Tensor, kv: KvCache, layer: int, step: Step, decode_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Attention of all tokens over their own lines, ``[N, heads · head_dim]``."""
        parts = []
        if decode_mask is not None:
            parts.append(self._attend_decode(q[: step.decode_count], kv, layer, step, decode_mask))
        parts += [self._attend_chunk(q[c.start : c.stop], kv, layer, c) for c in step.chunks]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _attend_decode(self, q: torch.Tensor, kv: KvCache, layer: int, step: Step, mask: torch.Tensor) -> torch.Tensor:
        """One query per line. All rows up to ``row_count`` take part; those of lines in prefill are thrown away."""
        spec = self.spec
        rows, length = step.row_count, step.longest
        groups = spec.num_heads // spec.num_kv_heads
        packed = rows == step.decode_count
        if not packed:
            decoding = step.rows[: step.decode_count]
            q = q.new_zeros(rows, spec.num_heads, spec.head_dim).index_copy_(0, decoding, q)
        q = q.reshape(rows * spec.num_kv_heads, groups, spec.head_dim)
        keys = kv.keys[layer, :rows].view(rows * spec.num_kv_heads, kv.context, spec.head_dim)[:, :length]
        values = kv.values[layer, :rows].view(rows * spec.num_kv_heads, kv.context, spec.head_dim)[:, :length]
        scores = torch.bmm(q, keys.transpose(1, 2)).to(torch.float32) / math.sqrt(spec.head_dim)
        scores = scores.view(rows, spec.num_heads, length).masked_fill(mask, float("-inf"))
        weights = scores.softmax(dim=-1).to(self.dtype).view(rows * spec.num_kv_heads, groups, length)
        out = torch.bmm(weights, values).view(rows, spec.num_heads * spec.head_dim)
        return out if packed else out[decoding]

    def _attend_chunk(self, q: torch.Tensor, kv: KvCache, layer: int, chunk: PromptChunk) -> torch.Tensor:
        """A piece of a prompt attends to all that stands before it in its row, and causally to itself."""
        count = chunk.stop - chunk.start
        end = chunk.position + count
        keys = kv.keys[layer, chunk.row, :, :end]
        values = kv.values[layer, chunk.row, :, :end]
        position = torch.arange(chunk.position, end, device=self.device)
        mask = torch.arange(end, device=self.device)[None, :] <= position[:, None]
        out = F.scaled_dot_product_attention(
            q.transpose(0, 1)[None], keys[None], values[None], attn_mask=mask[None, None], enable_gqa=True
        )
        return out[0].transpose(0, 1).reshape(count, -1)


class _StepLora:
    """Adds each token's adapter to a projection: a masked GEMM pair for decode tokens, one pair per prompt chunk."""

    def __init__(self, step: Step, pool: AdapterPool, dtype: torch.dtype, device: torch.device) -> None:
        self._decode_count = step.decode_count
        self._segments = [(c.start, c.stop, c.slot, c.scale) for c in step.chunks if c.slot is not None]
        self._columns = pool.high_water
        self._mask: torch.Tensor | None = None
        slots = list(step.decode_slots)
        first = slots[0] if slots else None
        alike = all(s is first for s in slots) and len(set(step.decode_scales)) <= 1
        if first is not None and alike:  # one adapter for all: no mask, and no other adapter's columns
            self._segments.insert(0, (0, step.decode_count, first, step.decode_scales[0]))
        elif any(slots):
            self._mask = _ownership_mask(slots, step.decode_scales, self._columns, dtype, device)

    def add(self, y: torch.Tensor, x: torch.Tensor, weights: GroupWeights) -> None:
        """``y[N, out] += adapter(x[N, in])``, in place; rows without an adapter keep their bits."""
        if self._mask is not None:
            count = self._decode_count
            self._add(y[:count], x[:count], weights, 0, self._columns, self._mask)
        for start, stop, slot, scale in self._segments:
            self._add(y[start:stop], x[start:stop], weights, slot.start, slot.stop, scale)

    @staticmethod
    def _add(
        y: torch.Tensor,
        x: torch.Tensor,
        weights: GroupWeights,
        start: int,
        stop: int,
        factor: torch.Tensor | float,
    ) -> None:
        projections = len(weights.b)
        down = F.linear(x, weights.a[start * projections : stop * projections])
        t = down.view(-1, stop - start, projections).permute(2, 0, 1)  # [P, rows, columns]
        t = (t * factor).contiguous()
        offset = 0
        for p, b in enumerate(weights.b):
            y[:, offset : offset + b.shape[1]].addmm_(t[p], b[start:stop])
            offset += b.shape[1]


def _ownership_mask(
    slots: Sequence[Slot | None],
    scales: Sequence[float],
    columns: int,
    dtype: torch.dtype,
    device: torch.device,
) -> torch.Tensor:
    """``[D, columns]``: a row's adapter scale in the columns that its adapter owns, zero elsewhere."""
    mask = torch.zeros(len(slots), columns, dtype=dtype)
    for row, (slot, scale) in enumerate(zip(slots, scales, strict=True)):
        if slot is not None:
            mask[row, slot.start : slot.stop] = scale
    return mask.to(device)


def _decode_mask(step: Step, device: torch.device) -> torch.Tensor | None:
    """Bool ``[row_count, 1, longest]``, true where a row's line has no token; ``None`` in a step without decode."""
    if step.decode_count == 0:
        return None
    lengths = torch.ones(step.row_count, dtype=torch.int64, device=device)
    lengths[step.rows[: step.decode_count]] = step.positions[: step.decode_count] + 1
    return torch.arange(step.longest, device=device)[None, None, :] >= lengths[:, None, None]


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding in the half-split form of transformers; ``x`` ``[N, heads, head_dim]``."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
