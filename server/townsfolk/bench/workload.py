"""What is measured with: random LoRA adapters, as PEFT writes them, and random prompts.

What an adapter says does not change how long it takes, so random ones measure as well as trained ones.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import torch
from safetensors.torch import save_file

from townsfolk.engine.adapter_files import CONFIG_FILE, WEIGHTS_FILE
from townsfolk.engine.embedded.peft_adapter import PROJECTIONS
from townsfolk.engine.embedded.spec import ModelSpec

ATTENTION_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
ALPHA_PER_RANK = 2  # lora_alpha = 2 · rank, a common choice
B_STD = 0.02  # small enough that a model with the adapter still computes finite numbers


def write_adapters(folder: Path, spec: ModelSpec, count: int, rank: int, seed: int = 0) -> list[Path]:
    """Write ``count`` random PEFT adapters of ``rank`` on all seven projections, in bf16.

    They lie in ``folder/adapter-00`` and so on; returns these folders. Every adapter has weights of its own, the same
    for the same ``seed``.
    """
    folders = [folder / f"adapter-{index:02}" for index in range(count)]
    for index, adapter in enumerate(folders):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
        adapter.mkdir(parents=True, exist_ok=True)
        (adapter / CONFIG_FILE).write_text(json.dumps(_config(rank), indent=2) + "\n", "utf-8")
        save_file(_weights(spec, rank, generator), adapter / WEIGHTS_FILE, metadata={"format": "pt"})
    return folders


def random_prompts(count: int, tokens: int, vocab_size: int, seed: int = 0) -> list[list[int]]:
    """``count`` prompts of ``tokens`` random token ids each, the same for the same ``seed``."""
    generator = random.Random(seed)
    return [[generator.randrange(vocab_size) for _ in range(tokens)] for _ in range(count)]


def _config(rank: int) -> dict[str, object]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "",
        "r": rank,
        "lora_alpha": ALPHA_PER_RANK * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(PROJECTIONS),
        "inference_mode": True,
    }


def _weights(spec: ModelSpec, rank: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """By PEFT's names: A bf16 ``[rank, in]`` of standard deviation 1/√in, B bf16 ``[out, rank]``."""
    weights: dict[str, torch.Tensor] = {}
    for layer in range(spec.num_layers):
        for projection in PROJECTIONS:
            block = "self_attn" if projection in ATTENTION_PROJECTIONS else "mlp"
            name = f"base_model.model.model.layers.{layer}.{block}.{projection}"
            out_features, in_features = spec.projection_shape(projection)
            a = torch.randn(rank, in_features, generator=generator) / math.sqrt(in_features)
            b = torch.randn(out_features, rank, generator=generator) * B_STD
            weights[f"{name}.lora_A.weight"] = a.to(torch.bfloat16)
            weights[f"{name}.lora_B.weight"] = b.to(torch.bfloat16)
    return weights
