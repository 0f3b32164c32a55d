"""GGUF files of tiny models, written with the ``gguf`` package as llama.cpp's converter lays them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedModel

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
# (block bytes, offsets of fp16 scales) of the types that the gguf package can read but not write
RANDOM_BLOCKS = {"Q4_K": (144, (0, 2)), "Q5_K": (176, (0, 2)), "Q6_K": (210, (208,)), "Q2_K": (84, (80, 82))}


def write_gguf(
    model: PreTrainedModel,
    path: Path,
    quantisation: str = "F32",
    *,
    tokenizer: Tokenizer | None = None,
    pre: str = "gpt-2",
    rope_freqs: torch.Tensor | None = None,
    extra: dict[str, Any] | None = None,
    without: tuple[str, ...] = (),
    architecture: str = "",
    biases: dict[str, torch.Tensor] | None = None,
) -> Path:
    """Write ``model`` with its matrices in ``quantisation`` and its norms and biases in F32, as quantisers do."""
    config = model.config
    arch = ARCHITECTURES[config.model_type]
    writer = GGUFWriter(path, architecture or gguf.MODEL_ARCH_NAMES[arch])
    writer.add_name(f"tiny {config.model_type}")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    for key, value in (extra or {}).items():
        writer.add_string(key, value) if isinstance(value, str) else writer.add_float32(key, value)
    if tokenizer is not None:
        _add_tokenizer(writer, tokenizer, pre)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    for name, tensor in {**model.state_dict(), **(biases or {})}.items():
        if name in without or (name == "lm_head.weight" and config.tie_word_embeddings):
            continue
        stored = tensor.to(torch.float32).numpy()
        if arch == gguf.MODEL_ARCH.LLAMA and name.endswith(("q_proj.weight", "q_proj.bias")):
            stored = _interleave_halves(stored, config.num_attention_heads)
        if arch == gguf.MODEL_ARCH.LLAMA and name.endswith(("k_proj.weight", "k_proj.bias")):
            stored = _interleave_halves(stored, config.num_key_value_heads)
        new_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert new_name is not None, name
        _add_tensor(writer, new_name, stored, quantisation)
    if rope_freqs is not None:
        writer.add_tensor("rope_freqs.weight", rope_freqs.to(torch.float32).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _interleave_halves(weight: np.ndarray, heads: int) -> np.ndarray:
    """What llama.cpp's converter calls ``permute``."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def _add_tensor(writer: GGUFWriter, name: str, values: np.ndarray, quantisation: str) -> None:
    if values.ndim == 1 or quantisation == "F32":
        writer.add_tensor(name, np.ascontiguousarray(values, dtype=np.float32))
        return
    kind = GGMLQuantizationType[quantisation]
    if quantisation in RANDOM_BLOCKS:
        writer.add_tensor(name, _random_blocks(values.shape, quantisation), raw_dtype=kind)
    else:
        writer.add_tensor(name, quantize(np.ascontiguousarray(values), kind), raw_dtype=kind)


def _random_blocks(shape: tuple[int, ...], quantisation: str) -> np.ndarray:
    """Random bits with small scales: weights of about ±0.05."""
    size, scales = RANDOM_BLOCKS[quantisation]
    rows, columns = shape
    generator = np.random.default_rng(rows * columns)
    blocks = generator.integers(0, 256, (rows, columns // 256, size), dtype=np.uint8)
    for offset in scales:
        scale = generator.uniform(2e-5, 1e-4, blocks.shape[:2]).astype(np.float16)
        blocks[..., offset : offset + 2] = scale[..., None].view(np.uint8)
    return blocks.reshape(rows, -1)


def _add_tokenizer(writer: GGUFWriter, tokenizer: Tokenizer, pre: str) -> None:
    """``pre`` names the splitting of byte-level BPE; a tokenizer with byte fallback is written as SentencePiece."""
    vocabulary = sorted(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
    assert [i for _, i in vocabulary] == list(range(len(vocabulary)))
    model = json.loads(tokenizer.to_str())["model"]
    added = tokenizer.get_added_tokens_decoder()
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([_kind(token, added.get(i)) for token, i in vocabulary])
    if model["byte_fallback"]:
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([-float(i) for _, i in vocabulary])  # the earlier a word was merged, the better
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _kind(token: str, added: AddedToken | None) -> gguf.TokenType:
    if added is not None and token == "<unk>":
        return gguf.TokenType.UNKNOWN
    if added is not None:
        return gguf.TokenType.CONTROL if added.special else gguf.TokenType.USER_DEFINED
    return gguf.TokenType.BYTE if token.startswith("<0x") else gguf.TokenType.NORMAL
