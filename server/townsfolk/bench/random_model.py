"""Base models with the shape of a real one and random weights: nobody has to download what is only to be timed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import torch

from townsfolk.engine.embedded.spec import ModelSpec, rotary_inverse_frequencies

WEIGHT_STD = 0.02
ROPE_BASE = 500_000.0
LLAMA_3_2_SCALING: dict[str, object] = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}

SHAPES = {
    "llama-3.2-3b": ModelSpec(
        name="llama-3.2-3b-shape-random-weights",
        family="llama",
        vocab_size=128_256,
        hidden_size=3072,
        num_layers=28,
        num_heads=24,
        num_kv_heads=8,
        head_dim=128,
        ffn_size=8192,
        norm_eps=1e-5,
        max_context=131_072,
        tied_embeddings=True,
    ),
    "tiny": ModelSpec(
        name="tiny-shape-random-weights",
        family="llama",
        vocab_size=384,
        hidden_size=64,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=16,
        ffn_size=128,
        norm_eps=1e-5,
        max_context=2048,
        tied_embeddings=True,
    ),
}


class RandomCheckpoint:
    """A ``Checkpoint`` whose tensors are made when they are asked for, bf16 on ``device``; norms are ones.

    A tensor is the same whenever it is asked for on the same kind of device. There is no tokenizer.
    """

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        self.spec = spec
        self.inverse_frequencies = rotary_inverse_frequencies(spec.head_dim, ROPE_BASE, LLAMA_3_2_SCALING)
        self.tokenizer_json = ""
        self.bos_id = -1
        self.eos_ids: list[int] = []
        self._device = device
        self.shapes = _tensor_shapes(spec)

    def tensor(self, name: str) -> torch.Tensor:
        shape = self.shapes[name]
        if len(shape) == 1:
            return torch.ones(shape)  # on the CPU: the engine reads norms for the model's fingerprint
        generator = torch.Generator(self._device).manual_seed(zlib.crc32(name.encode()))
        weights = torch.randn(shape, generator=generator, device=self._device, dtype=torch.bfloat16)
        return weights * WEIGHT_STD

    def names(self) -> Iterator[str]:
        return iter(self.shapes)


def _tensor_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Shapes by transformers' names; matrices are ``[out, in]``."""
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (spec.vocab_size, spec.hidden_size),
        "model.norm.weight": (spec.hidden_size,),
    }
    for layer in range(spec.num_layers):
        prefix = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{prefix}{norm}.weight"] = (spec.hidden_size,)
        for projection in ("q_proj", "k_proj", "v_proj", "o_proj"):
            shapes[f"{prefix}self_attn.{projection}.weight"] = spec.projection_shape(projection)
        for projection in ("gate_proj", "up_proj", "down_proj"):
            shapes[f"{prefix}mlp.{projection}.weight"] = spec.projection_shape(projection)
    return shapes
