"""A two-layer random model in a Hugging Face folder with a byte-level ChatML tokenizer, and a toy persona."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

PERSONA = """
id = "{name}"
name = "Captain Tock"
system = "You are Tock, a clock. Answer in one short sentence, in character."
"""


def write_tiny_model(folder: Path, family: str = "llama", *, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True) for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    hidden, heads, kv_heads, head_dim, ffn, vocab = 32, 4, 2, 8, 48, tokenizer.get_vocab_size()
    config = {
        "model_type": family,
        "vocab_size": vocab,
        "hidden_size": hidden,
        "num_hidden_layers": 2,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "intermediate_size": ffn,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "rope_theta": 50_000.0,
        "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
    }
    (folder / "config.json").write_text(json.dumps(config))
    random = torch.Generator().manual_seed(seed)

    def weight(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random) / math.sqrt(shape[-1])

    tensors = {"model.embed_tokens.weight": weight(vocab, hidden), "model.norm.weight": torch.ones(hidden)}
    for layer in range(2):
        at = f"model.layers.{layer}."
        tensors |= {
            at + "input_layernorm.weight": torch.ones(hidden),
            at + "post_attention_layernorm.weight": torch.ones(hidden),
            at + "self_attn.q_proj.weight": weight(heads * head_dim, hidden),
            at + "self_attn.k_proj.weight": weight(kv_heads * head_dim, hidden),
            at + "self_attn.v_proj.weight": weight(kv_heads * head_dim, hidden),
            at + "self_attn.o_proj.weight": weight(hidden, heads * head_dim),
            at + "mlp.gate_proj.weight": weight(ffn, hidden),
            at + "mlp.up_proj.weight": weight(ffn, hidden),
            at + "mlp.down_proj.weight": weight(hidden, ffn),
        }
        if family == "qwen2":
            sizes = {"q": heads * head_dim, "k": kv_heads * head_dim, "v": kv_heads * head_dim}
            tensors |= {f"{at}self_attn.{p}_proj.bias": weight(size) for p, size in sizes.items()}
        if family == "qwen3":
            tensors |= {f"{at}self_attn.{p}_norm.weight": torch.ones(head_dim) for p in "qk"}
    save_file(tensors, folder / "model.safetensors")
    return folder


def write_persona(folder: Path, lines: int = 40) -> Path:
    folder.mkdir(parents=True)
    (folder / "persona.toml").write_text(PERSONA.format(name=folder.name))
    rows = [
        {
            "situation": "noon" if i % 2 else "",
            "player": f"Number {i}, what time is it?",
            "reply": "Tick tock, tick tock!",
        }
        for i in range(lines)
    ]
    (folder / "dialogue.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
