"""The transformer with int8 weights on a CPU: the same forward pass as ``decoder.py``, by the kernel in C++.

Weights and activations are int8 with a scale for every few inputs of an output or of a token, so a line does not depend
on its neighbours: its logits are the same bits whoever shares the batch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from townsfolk.engine.embedded.adapter_pool import AdapterPool, Slot
from townsfolk.engine.embedded.checkpoint import Checkpoint
from townsfolk.engine.embedded.column_adapters import GROUPS
from townsfolk.engine.embedded.decoder import Step
from townsfolk.engine.embedded.kernel import (
    FUSED,
    GROUP,
    LANES,
    CLayer,
    CLora,
    CModel,
    CStep,
    Kernel,
    KernelModel,
    PackedMatrix,
    allocate_weights,
    round_up,
)
from townsfolk.engine.embedded.kv_cache import KvCache
from townsfolk.engine.embedded.peft_adapter import AdapterWeights
from townsfolk.engine.embedded.prepared import PreparedCheckpoint
from townsfolk.engine.embedded.sampler import CANDIDATES, Candidates, FindCandidates, SamplingBatch
from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.errors import FailedPrecondition

KV_DTYPE = torch.bfloat16
RANK_MULTIPLE = 4  # ranks are rounded up to whole dot products


def check_shape(spec: ModelSpec) -> None:
    """Raise ``FailedPrecondition`` for a model whose sizes the kernel cannot divide into its lanes."""
    sizes = {
        "hidden size": spec.hidden_size,
        "feed-forward size": spec.ffn_size,
        "head size": spec.head_dim,
    }
    for what, size in sizes.items():
        if size % LANES:
            raise FailedPrecondition(f"the int8 kernel needs a {what} that is a multiple of {LANES}, not {size}")


class Int8Decoder:
    """A base model in memory as int8. Takes the place of ``Decoder``.

    Args:
        checkpoint: the opened base model.
        max_context: tokens of a line.
        kv: the cache of running lines, in ``KV_DTYPE`` on the CPU.
        threads: that compute a step together.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        max_context: int,
        kv: KvCache,
        kernel: Kernel,
        threads: int,
        *,
        share_cores: bool = False,
    ) -> None:
        check_shape(checkpoint.spec)
        self.spec = checkpoint.spec
        self._kept: list[Any] = []  # what the kernel points to
        spec = self.spec

        def load(name: str) -> torch.Tensor:
            return checkpoint.tensor(name).to(torch.float32)

        def keep(tensor: torch.Tensor | None) -> int | None:
            if tensor is None:
                return None
            self._kept.append(tensor.contiguous())
            pointer: int = self._kept[-1].data_ptr()
            return pointer

        packer = ThreadPoolExecutor(1, thread_name_prefix="packer")  # while this thread reads the next matrix
        arena = WeightArena(kernel, base_bytes(spec, kernel), packer)
        prepared = isinstance(checkpoint, PreparedCheckpoint)
        if isinstance(checkpoint, PreparedCheckpoint):
            arena.restore(checkpoint.take_packed())

        def packed(outputs: int, inputs: int, weights: Callable[[], torch.Tensor]) -> PackedMatrix:
            matrix = arena.reserve(1, outputs, inputs) if prepared else arena.pack(weights()[None])
            self._kept.append(matrix)
            return matrix

        def head() -> torch.Tensor:
            dense = load("model.embed_tokens.weight" if spec.tied_embeddings else "lm_head.weight")
            return torch.nn.functional.pad(dense, (0, 0, 0, -spec.vocab_size % LANES))

        layers = (CLayer * spec.num_layers)()
        for index in range(spec.num_layers):
            _fill_layer(layers[index], spec, f"model.layers.{index}.", load, keep, packed)
        angles = torch.outer(torch.arange(max_context, dtype=torch.float32), checkpoint.inverse_frequencies)
        self._kept += [layers, kv]
        model = CModel(
            spec.num_layers,
            spec.hidden_size,
            spec.num_heads,
            spec.num_kv_heads,
            spec.head_dim,
            spec.ffn_size,
            spec.vocab_size,
            kv.context,
            kv.rows,
            spec.norm_eps,
            layers,
            keep(checkpoint.tensor("model.embed_tokens.weight").to(torch.bfloat16)),
            keep(load("model.norm.weight")),
            packed(round_up(spec.vocab_size, LANES), spec.hidden_size, head).c(),
            keep(angles.cos()),
            keep(angles.sin()),
            kv.keys.data_ptr(),
            kv.values.data_ptr(),
        )
        arena.finish()
        packer.shutdown()
        self.packed = arena.memory
        self.model = kernel.open(model, threads, share_cores)

    def forward(self, step: Step, kv: KvCache, pool: AdapterPool) -> torch.Tensor:
        """Logits fp32 ``[len(step.sampled), vocab]``; keys and values of all N tokens are in ``kv`` afterwards."""
        storage = pool.storage
        assert isinstance(storage, PackedAdapters)
        count = len(step.tokens)
        adapters = np.zeros(count, dtype=np.uint64)
        scales = np.ones(count, dtype=np.float32)
        adapters[: step.decode_count] = [storage.address(slot) for slot in step.decode_slots]
        scales[: step.decode_count] = step.decode_scales
        for chunk in step.chunks:
            adapters[chunk.start : chunk.stop] = storage.address(chunk.slot)
            scales[chunk.start : chunk.stop] = chunk.scale
        order = np.arange(count)
        # lines of one adapter side by side share what is loaded of its weights
        order[: step.decode_count] = np.argsort(adapters[: step.decode_count], kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(count)
        arrays = [np.ascontiguousarray(t.numpy()[order]) for t in (step.tokens, step.positions, step.rows)]
        arrays += [adapters[order], scales[order], place[step.sampled.numpy()]]
        logits = torch.empty(len(step.sampled), self.spec.vocab_size)
        self.model.step(
            CStep(
                count,
                step.decode_count,
                len(step.sampled),
                *(array.ctypes.data for array in arrays),
                logits.data_ptr(),
            )
        )
        return logits

    def close(self) -> None:
        """End the kernel's threads."""
        self.model.close()


def kernel_candidates(model: KernelModel) -> FindCandidates:
    """``FindCandidates`` by the kernel: one pass over the logits in place of a sort."""

    def find(logits: torch.Tensor, batch: SamplingBatch, seen: Sequence[torch.Tensor]) -> Candidates:
        count = min(CANDIDATES, logits.shape[1]) if batch.any_random else 0
        greedy, values, ids, log_sum = model.candidates(
            logits, batch.temperature, batch.repetition_penalty, seen, count
        )
        return Candidates(greedy, logits, (values - log_sum[:, None]).exp_(), ids)

    return find


def _fill_layer(layer: CLayer, spec: ModelSpec, prefix: str, load: Any, keep: Any, packed: Any) -> None:
    attention, mlp = prefix + "self_attn.", prefix + "mlp."
    layer.input_norm = keep(load(prefix + "input_layernorm.weight"))
    layer.post_norm = keep(load(prefix + "post_attention_layernorm.weight"))
    layer.q_norm = keep(load(attention + "q_norm.weight") if spec.qk_norm else None)
    layer.k_norm = keep(load(attention + "k_norm.weight") if spec.qk_norm else None)
    biases = [load(f"{attention}{p}_proj.bias") for p in "qkv"] if spec.qkv_bias else None
    layer.qkv_bias = keep(torch.cat(biases) if biases else None)

    def gate_up() -> torch.Tensor:
        gate, up = (load(f"{mlp}{p}_proj.weight").view(-1, LANES, spec.hidden_size) for p in ("gate", "up"))
        return torch.stack((gate, up), dim=1).view(-1, spec.hidden_size)  # in alternating blocks

    fused = {
        "qkv": lambda: torch.cat([load(f"{attention}{p}_proj.weight") for p in "qkv"]),
        "o": lambda: load(attention + "o_proj.weight"),
        "gate_up": gate_up,
        "down": lambda: load(mlp + "down_proj.weight"),
    }
    for index, name in enumerate(FUSED):
        shapes = [spec.projection_shape(projection) for projection in GROUPS[name]]
        layer.fused[index] = packed(sum(out for out, _ in shapes), shapes[0][1], fused[name]).c()


class WeightArena:
    """One piece of memory for many packed matrices.

    Args:
        size: of all of them, in bytes.
        packer: does the packing if given, while its caller goes on; ``finish`` waits for it.
    """

    def __init__(self, kernel: Kernel, size: int, packer: Executor | None = None) -> None:
        self._kernel = kernel
        self.memory = allocate_weights(size)
        self._used = 0
        self._packer = packer
        self._jobs: list[Future[None]] = []

    def pack(self, weights: torch.Tensor, multiple: int = GROUP) -> PackedMatrix:
        """Quantise fp32 ``[n, out, in]`` behind what is there already; see ``Kernel.pack``."""
        n, outputs, inputs = weights.shape
        matrix = self.reserve(n, outputs, inputs, multiple)
        if self._packer is None:
            self._kernel.fill(matrix, weights)
        else:
            self._jobs.append(self._packer.submit(self._kernel.fill, matrix, weights))
        return matrix

    def reserve(self, n: int, outputs: int, inputs: int, multiple: int = GROUP) -> PackedMatrix:
        """Room behind what is there already, for fp32 ``[n, out, in]``."""
        matrix = self._kernel.matrix(n, outputs, inputs, multiple, self.memory[self._used :])
        self._used += matrix.bytes
        return matrix

    def fill(self, matrix: PackedMatrix, index: int, weights: torch.Tensor) -> None:
        """Quantise fp32 ``[out, in]`` into one of the matrices that were reserved together, at once."""
        self._kernel.fill_one(matrix, index, weights)

    def restore(self, packed: torch.Tensor) -> None:
        """Fill the memory with what it held before, uint8 ``[size]``. Raises ``ValueError`` for another size."""
        if packed.shape != self.memory.shape:
            raise ValueError(f"{len(packed)} bytes of packed weights do not fill {len(self.memory)}")
        self.memory.copy_(packed)

    def finish(self) -> None:
        """Wait until all is packed."""
        for job in self._jobs:
            job.result()


def base_bytes(spec: ModelSpec, kernel: Kernel) -> int:
    """Of all base matrices, packed."""
    shapes = [spec.projection_shape(p) for projections in GROUPS.values() for p in projections] * spec.num_layers
    shapes.append((round_up(spec.vocab_size, LANES), spec.hidden_size))
    return sum(kernel.packed_bytes(outputs, inputs) for outputs, inputs in shapes)


class PackedAdapter:
    """An adapter as the kernel reads it, in host memory; a slot only refers to it."""

    def __init__(self, weights: AdapterWeights, spec: ModelSpec, kernel: Kernel) -> None:
        self.digest, self.rank = weights.digest, weights.rank
        self._matrices: list[PackedMatrix] = []
        self._table = (CLora * (spec.num_layers * len(FUSED)))()
        ranks = {name: _common_rank(weights, projections) for name, projections in GROUPS.items()}
        arena = WeightArena(kernel, sum(_adapter_sizes(spec, kernel, ranks)))
        for index, name in enumerate(FUSED):
            if ranks[name]:
                self._pack(weights, spec, arena, index, GROUPS[name], ranks[name])

    @property
    def address(self) -> int:
        """Of the table that the kernel reads, ``[layers][fused projections]``."""
        return ctypes.addressof(self._table)

    @property
    def bytes(self) -> int:
        return ctypes.sizeof(self._table) + sum(matrix.bytes for matrix in self._matrices)

    def _pack(
        self,
        weights: AdapterWeights,
        spec: ModelSpec,
        arena: WeightArena,
        index: int,
        projections: tuple[str, ...],
        rank: int,
    ) -> None:
        """All layers of one fused projection, through buffers that stay in the processor's cache."""
        inputs = spec.projection_shape(projections[0])[1]
        outputs = [spec.projection_shape(projection)[0] for projection in projections]
        down = torch.zeros(round_up(len(projections) * rank, LANES), inputs)
        ups = [torch.zeros(out, rank) for out in outputs]
        packed_ups = [arena.reserve(spec.num_layers, out, rank, RANK_MULTIPLE) for out in outputs]
        packed_down = arena.reserve(spec.num_layers, *down.shape)
        self._matrices += [packed_down, *packed_ups]
        for layer in range(spec.num_layers):
            lora = self._table[layer * len(FUSED) + index]
            lora.down, lora.rank, lora.projections = packed_down.c(layer), rank, len(projections)
            for p, (projection, up, packed_up) in enumerate(zip(projections, ups, packed_ups, strict=True)):
                pair = weights.pairs.get((layer, projection))
                own = 0 if pair is None else pair.a.shape[0]
                if pair is not None:
                    down[p * rank : p * rank + own] = pair.a
                    up[:, :own] = pair.b.t()
                down[p * rank + own : (p + 1) * rank] = 0
                up[:, own:] = 0
                arena.fill(packed_up, layer, up)
                lora.up[p] = packed_up.c(layer)
            arena.fill(packed_down, layer, down)


def _common_rank(weights: AdapterWeights, projections: tuple[str, ...]) -> int:
    """The largest rank with which any layer adapts one of the projections, rounded up; 0 where none does."""
    ranks = [pair.a.shape[0] for (_, projection), pair in weights.pairs.items() if projection in projections]
    return round_up(max(ranks, default=0), RANK_MULTIPLE)


def _adapter_sizes(spec: ModelSpec, kernel: Kernel, ranks: dict[str, int]) -> Iterator[int]:
    """Bytes of all matrices of an adapter, packed. ``ranks``: by fused projection, 0 for those that are left alone."""
    for name, projections in GROUPS.items():
        outputs, inputs = zip(*(spec.projection_shape(p) for p in projections), strict=True)
        if rank := ranks[name]:
            yield spec.num_layers * kernel.packed_bytes(round_up(len(projections) * rank, LANES), inputs[0])
            yield from (spec.num_layers * kernel.packed_bytes(out, rank, RANK_MULTIPLE) for out in outputs)


class PackedAdapters:
    """What an ``AdapterPool`` keeps its slots in, here: references, for host memory is device memory."""

    def __init__(self, spec: ModelSpec, kernel: Kernel) -> None:
        self._spec, self._kernel = spec, kernel
        self._resident: dict[str, PackedAdapter] = {}

    def prepare(self, weights: AdapterWeights) -> PackedAdapter:
        """Called on the reader thread."""
        return PackedAdapter(weights, self._spec, self._kernel)

    def write(self, slot: Slot, adapter: PackedAdapter) -> None:
        self._resident[slot.digest] = adapter

    def clear(self, slot: Slot) -> None:
        del self._resident[slot.digest]

    def address(self, slot: Slot | None) -> int:
        """Of a slot's table, 0 for base rows."""
        return 0 if slot is None else self._resident[slot.digest].address
