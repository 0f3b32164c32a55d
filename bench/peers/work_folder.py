"""Writes the work folder: one model, one set of adapters and one set of prompts, in every form that a system reads."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import tokenizers
import torch
from gguf_lora import convert

from townsfolk.bench.workload import random_prompts, write_adapters
from townsfolk.engine.embedded.checkpoint import Checkpoint, open_checkpoint
from townsfolk.training.base_model import build_model

CONTEXT_MULTIPLE = 128  # what KV caches are commonly cut into
# Prompts for comparing systems: text has clear favourites, after random tokens rounding decides which token comes next.
CHECK_TEXTS = (
    "The old smith put down his hammer, looked at the stranger in the doorway for a while, and said in a low voice:",
    "Once upon a time there was a little village by the sea, where every morning the fishermen",
    "Question: What is the capital of France, and which river flows through it?\nAnswer:",
    "To make a simple vegetable soup you need the following ingredients: one onion, two carrots,",
)


@dataclass(frozen=True)
class WorkPlan:
    """What the work folder is to hold. Prompt ``i < check_prompts`` is for comparing, the others are random tokens."""

    model: Path
    adapters: int
    rank: int
    prompt_tokens: int
    new_tokens: int
    prompts: int
    max_streams: int

    @property
    def check_prompts(self) -> int:
        return len(CHECK_TEXTS)

    @property
    def context(self) -> int:
        needed = self.prompt_tokens + self.new_tokens
        return -(-needed // CONTEXT_MULTIPLE) * CONTEXT_MULTIPLE


def write_work_folder(folder: Path, plan: WorkPlan) -> None:
    """Write everything anew; what lay there before is removed, so that no two runs are mixed up."""
    for name in ("base-hf", "adapters", "adapters-gguf"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    checkpoint = open_checkpoint(plan.model)
    write_hugging_face_folder(folder / "base-hf", checkpoint)
    for adapter in write_adapters(folder / "adapters", checkpoint.spec, plan.adapters, plan.rank):
        convert(adapter, folder / "adapters-gguf" / f"{adapter.name}.gguf", checkpoint.spec)
    (folder / "prompts.json").write_text(json.dumps(_prompts(plan, checkpoint)) + "\n", "utf-8")
    described = {
        "base_gguf": str(plan.model),
        "rank": plan.rank,
        "max_streams": plan.max_streams,
        "context": plan.context,
    }
    (folder / "work.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")


def write_hugging_face_folder(folder: Path, checkpoint: Checkpoint) -> None:
    """The dequantised weights in bf16, with config and tokenizer, as transformers and vLLM load them."""
    model = build_model(checkpoint, torch.device("cpu"), torch.bfloat16)
    # From this the loaders compute the rotary frequencies, which the checkpoint has only in computed form.
    model.config.rope_parameters = {"rope_type": "default", "rope_theta": _rope_theta(checkpoint)}
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(checkpoint.tokenizer_json, "utf-8")
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n", "utf-8")


def _rope_theta(checkpoint: Checkpoint) -> float:
    """The rope base θ, from the second inverse frequency θ^(-2 / head_dim). Raises ``ValueError`` for scaled ropes."""
    head_dim = checkpoint.spec.head_dim
    theta = float(checkpoint.inverse_frequencies[1].double() ** (-head_dim / 2))
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim
    if not torch.allclose(checkpoint.inverse_frequencies.double(), theta**-exponents, rtol=1e-4):
        raise ValueError("models with scaled rotary embeddings cannot be written as a Hugging Face folder here")
    return float(f"{theta:.5g}")


def _prompts(plan: WorkPlan, checkpoint: Checkpoint) -> list[list[int]]:
    tokenizer = tokenizers.Tokenizer.from_str(checkpoint.tokenizer_json)
    written = [tokenizer.encode(text, add_special_tokens=False).ids for text in CHECK_TEXTS]
    shortest = min(map(len, written))  # so that all of them fit into one batch without padding
    return [ids[:shortest] for ids in written] + random_prompts(
        plan.prompts, plan.prompt_tokens, checkpoint.spec.vocab_size
    )
