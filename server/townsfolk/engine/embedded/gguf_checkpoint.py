"""GGUF model files (ggml/docs/gguf.md), unpacked with the ``gguf`` package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from townsfolk.engine.embedded.checkpoint import refuse_unused_biases
from townsfolk.engine.embedded.gguf_fields import GgufFields
from townsfolk.engine.embedded.gguf_tokenizer import tokenizer_json_from_gguf
from townsfolk.engine.embedded.spec import ModelSpec, rotary_inverse_frequencies
from townsfolk.engine.model_name import model_name
from townsfolk.errors import InvalidArgument

SUPPORTED_TYPES = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K")
TOP_LEVEL_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
ROPE_PERMUTED = ("q_proj.weight", "q_proj.bias", "k_proj.weight", "k_proj.bias")


class GgufCheckpoint:
    """One GGUF file. Tensors stay memory-mapped until asked for, then come dequantised to fp32."""

    def __init__(self, path: Path) -> None:
        fields = GgufFields(path)
        self._tensors = {_hugging_face_name(t.name): t for t in fields.reader.tensors}
        self.spec = _spec_from_fields(path, fields, self._tensors)
        refuse_unused_biases(path, self._tensors)
        self.inverse_frequencies = _inverse_frequencies(path, fields, self.spec.head_dim)
        divisors = self._tensors.pop("rope_freqs.weight", None)
        if divisors is not None:  # how GGUF stores llama3 rope scaling
            self.inverse_frequencies = self.inverse_frequencies / torch.from_numpy(
                np.array(divisors.data, dtype=np.float32)
            )
        self._rope_permuted = fields.architecture == "llama"
        try:
            self.tokenizer_json, self.bos_id, self.eos_ids = tokenizer_json_from_gguf(fields)
        except InvalidArgument:
            raise
        except Exception as error:  # `tokenizers` raises nothing narrower
            raise InvalidArgument(f"{path} has a damaged tokenizer: {error}", field="model") from error

    def tensor(self, name: str) -> torch.Tensor:
        stored = self._tensors.get(name)
        if stored is None:
            raise InvalidArgument(f"the model lacks the tensor {name}", field="model")
        if stored.tensor_type.name not in SUPPORTED_TYPES:
            raise InvalidArgument(
                f"the tensor {name} is stored as {stored.tensor_type.name}; supported are {', '.join(SUPPORTED_TYPES)}",
                field="model",
            )
        dense = np.array(
            gguf.dequantize(stored.data, stored.tensor_type), dtype=np.float32
        )  # F32 comes as a read-only map
        shape = tuple(int(n) for n in reversed(stored.shape))
        tensor = torch.from_numpy(dense.reshape(shape))
        if self._rope_permuted and name.endswith(ROPE_PERMUTED):
            heads = self.spec.num_heads if "q_proj" in name else self.spec.num_kv_heads
            tensor = _undo_rope_permutation(tensor, heads)
        return tensor

    def names(self) -> Iterator[str]:
        return iter(self._tensors)


def _spec_from_fields(path: Path, fields: GgufFields, tensors: dict[str, Any]) -> ModelSpec:
    architecture = fields.architecture
    hidden = fields.integer(f"{architecture}.embedding_length")
    heads = fields.integer(f"{architecture}.attention.head_count")
    embeddings = tensors.get("model.embed_tokens.weight")
    if embeddings is None:
        raise InvalidArgument(f"{path} has no token embeddings", field="model")
    return ModelSpec(
        name=model_name(path),
        family=fields.family,
        vocab_size=int(embeddings.shape[1]),
        hidden_size=hidden,
        num_layers=fields.integer(f"{architecture}.block_count"),
        num_heads=heads,
        num_kv_heads=fields.integer(f"{architecture}.attention.head_count_kv", heads),
        head_dim=fields.integer(f"{architecture}.attention.key_length", hidden // max(heads, 1)),
        ffn_size=fields.integer(f"{architecture}.feed_forward_length"),
        norm_eps=fields.number(f"{architecture}.attention.layer_norm_rms_epsilon"),
        max_context=fields.integer(f"{architecture}.context_length"),
        tied_embeddings="lm_head.weight" not in tensors,
        qkv_bias="model.layers.0.self_attn.q_proj.bias" in tensors,
        qk_norm="model.layers.0.self_attn.q_norm.weight" in tensors,
    )


def _inverse_frequencies(path: Path, fields: GgufFields, head_dim: int) -> torch.Tensor:
    architecture = fields.architecture
    if fields.integer(f"{architecture}.rope.dimension_count", head_dim) != head_dim:
        raise InvalidArgument(f"{path} rotates a part of each head only, which is not supported", field="model")
    base = fields.number(f"{architecture}.rope.freq_base", 10_000.0)
    kind = str(fields.get(f"{architecture}.rope.scaling.type", "none"))
    if kind == "none":
        return rotary_inverse_frequencies(head_dim, base)
    factor = fields.number(f"{architecture}.rope.scaling.factor", 1.0)
    return rotary_inverse_frequencies(head_dim, base, {"rope_type": kind, "factor": factor})


def _hugging_face_name(name: str) -> str:
    if name in TOP_LEVEL_NAMES:
        return TOP_LEVEL_NAMES[name]
    parts = name.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[2] in LAYER_NAMES:
        return f"model.layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.{parts[3]}"
    return name


def _undo_rope_permutation(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """ggml's llama rope rotates neighbouring pairs, so its converter interleaves the halves of each head."""
    halves = weight.view(heads, weight.shape[0] // heads // 2, 2, -1)
    return halves.transpose(1, 2).reshape(weight.shape)
