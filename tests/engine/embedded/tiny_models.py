"""Two-layer random models of every supported family, and adapters for them, written by transformers and PEFT."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCABULARY = 384
CORPUS = [
    "the quick brown fox jumps over the lazy dog at the old stone gate",
    "a traveller in a grey cloak asked the miller for bread, water and the way to the harbour",
    "nobody had seen the lighthouse keeper since winter, though every night his lamp still burned",
]
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
FAMILIES: dict[str, tuple[type[PreTrainedModel], Any]] = {
    "llama2": (LlamaForCausalLM, LlamaConfig(**SIZES)),
    "llama3": (LlamaForCausalLM, LlamaConfig(**SIZES, rope_parameters=LLAMA3_ROPE)),
    "smollm2": (
        LlamaForCausalLM,
        LlamaConfig(**{**SIZES, "num_key_value_heads": 1}, tie_word_embeddings=True),
    ),
    "mistral": (MistralForCausalLM, MistralConfig(**SIZES, head_dim=32, sliding_window=None)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SIZES, head_dim=24)),
}


def tiny_tokenizer() -> Tokenizer:
    """A byte-level BPE tokenizer with ChatML's control tokens at ids 0, 1 and 2."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(t, special=True) for t in CONTROL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY  # every id that the models know is a token
    return tokenizer


def write_model(family: str, folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A random model of ``family`` as ``save_pretrained`` writes it, with weights large enough to have opinions.

    ``changes``: entries of its config that shall differ.
    """
    model_class, config = FAMILIES[family]
    config = type(config)(**{**config.to_dict(), **changes})
    torch.manual_seed(seed)
    model = model_class(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
            else:
                parameter.copy_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


@dataclass(frozen=True)
class AdapterRecipe:
    """What a test adapter's PEFT config says."""

    name: str
    rank: int = 8
    alpha: float = 16
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, float] = field(default_factory=dict)
    rslora: bool = False


RECIPES = (
    AdapterRecipe("rank4", rank=4),
    AdapterRecipe("rank64_attention_only", rank=64, alpha=32, targets=("q_proj", "v_proj")),
    AdapterRecipe("rank_pattern", rank=8, rank_pattern={"q_proj": 16, "layers.1.mlp.down_proj": 4}),
    AdapterRecipe("alpha_pattern", rank=12, alpha_pattern={"v_proj": 40, "layers.0.self_attn.o_proj": 2}),
    AdapterRecipe("rslora", rank=16, alpha=8, rslora=True),
    AdapterRecipe("mlp_only", rank=24, alpha=24, targets=("gate_proj", "up_proj", "down_proj")),
)


def write_adapter(base: PreTrainedModel, recipe: AdapterRecipe, folder: Path, seed: int, strength: float) -> Path:
    """A random adapter saved by PEFT; ``strength`` is the standard deviation of its B matrices."""
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=list(recipe.targets),
        rank_pattern=recipe.rank_pattern,
        alpha_pattern=recipe.alpha_pattern,
        use_rslora=recipe.rslora,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    model = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(strength * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder, save_embedding_layers=False)
    model.unload()
    return folder


def scale_adapters(model: torch.nn.Module, scale: float) -> None:
    """Have PEFT apply the active adapters of a model that much more strongly than before."""
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.scale_layer(scale)


def rewrite_config(folder: Path, **changes: Any) -> None:
    """Change entries of an adapter's config in place."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
