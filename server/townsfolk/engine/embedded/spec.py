"""What makes one decoder differ from another, as one small frozen description.

One decoder (``decoder.py``) serves Llama 2 and 3, SmolLM2, Mistral, Qwen2 and Qwen3: they differ in sizes, in where
biases and head norms sit, and in how rotary frequencies are scaled.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch

from townsfolk.errors import InvalidArgument

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Shape of a decoder-only transformer with RMSNorm, rotary embeddings, grouped heads and a SwiGLU block.

    ``qkv_bias``: query, key and value projections have a bias (Qwen2). ``qk_norm``: RMSNorm over each head of
    query and key before the rotary embedding (Qwen3). ``max_context`` is in tokens.
    """

    name: str
    family: str
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    ffn_size: int
    norm_eps: float
    max_context: int
    tied_embeddings: bool
    qkv_bias: bool = False
    qk_norm: bool = False

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InvalidArgument(
                f"the model family {self.family!r} is not supported; use one of {', '.join(FAMILIES)}",
                field="model",
            )
        sizes = {key: value for key, value in asdict(self).items() if type(value) is int}
        if min(sizes.values()) < 1:
            raise InvalidArgument(f"a model cannot have the sizes {sizes}", field="model")
        if self.num_heads % self.num_kv_heads:
            raise InvalidArgument(
                f"{self.num_heads} heads cannot share {self.num_kv_heads} key/value heads evenly",
                field="model",
            )

    @property
    def q_size(self) -> int:
        return self.num_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        return self.num_kv_heads * self.head_dim

    def projection_shape(self, module: str) -> tuple[int, int]:
        """``(out_features, in_features)`` of a projection such as ``q_proj``."""
        return {
            "q_proj": (self.q_size, self.hidden_size),
            "k_proj": (self.kv_size, self.hidden_size),
            "v_proj": (self.kv_size, self.hidden_size),
            "o_proj": (self.hidden_size, self.q_size),
            "gate_proj": (self.ffn_size, self.hidden_size),
            "up_proj": (self.ffn_size, self.hidden_size),
            "down_proj": (self.hidden_size, self.ffn_size),
        }[module]


def rotary_inverse_frequencies(head_dim: int, base: float, scaling: dict[str, object] | None = None) -> torch.Tensor:
    """Inverse frequencies of the rotary embedding (Su et al. 2021, arXiv:2104.09864), fp32 ``[head_dim / 2]``.

    ``scaling`` is the ``rope_scaling`` table of a Hugging Face config: none, ``default``, ``linear`` or ``llama3``
    (the per-frequency interpolation of Llama 3.1). Raises ``InvalidArgument`` for any other kind.
    """
    inverse = 1.0 / (base ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim))
    if not scaling:
        return inverse
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return inverse
    if kind == "linear":
        return inverse / _number(scaling, "factor")
    if kind != "llama3":
        raise InvalidArgument(
            f"rope scaling {kind!r} is not supported (default, linear and llama3 are)", field="rope_scaling"
        )
    factor = _number(scaling, "factor")
    low = _number(scaling, "low_freq_factor")
    high = _number(scaling, "high_freq_factor")
    trained_context = _number(scaling, "original_max_position_embeddings")
    wavelength = 2 * math.pi / inverse
    blend = ((trained_context / wavelength - low) / (high - low)).clamp(0.0, 1.0)
    return (1 - blend) * inverse / factor + blend * inverse


def _number(table: dict[str, object], key: str) -> float:
    value = table.get(key)
    if not isinstance(value, int | float):
        raise InvalidArgument(f"the model's rope scaling lacks {key}", field="rope_scaling")
    return float(value)
