"""The same engine on an NVIDIA card says what it says on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.engine.embedded.driver import adapter_ref, make_engine, run_lines
from tests.engine.embedded.tiny_models import FAMILIES, RECIPES, VOCABULARY, write_adapter, write_model
from townsfolk.engine.messages import AdapterRef, Generate, SamplingParams

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA card that this PyTorch can use"),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_in_fp32_has_the_tokens_of_the_cpu(family: str, tmp_path: Path) -> None:
    folder = write_model(family, tmp_path / family)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    adapters: list[AdapterRef | None] = [None]
    for seed, recipe in enumerate(RECIPES):
        adapters.append(adapter_ref(write_adapter(base, recipe, tmp_path / recipe.name, seed, strength=0.1)))
    generator = torch.Generator().manual_seed(1)
    requests = [
        Generate(
            i,
            torch.randint(3, VOCABULARY, (7 + 20 * i,), generator=generator).tolist(),
            SamplingParams(temperature=0.0 if i % 2 else 0.9, top_p=0.9, repetition_penalty=1.1, seed=i, max_tokens=16),
            [],
            adapter,
        )
        for i, adapter in enumerate(adapters)
    ]
    settings = {"prefill_chunk": 16, "adapter_columns": 192}
    on_cpu = run_lines(make_engine(folder, **settings), requests)
    on_card = run_lines(make_engine(folder, device="cuda", **settings), requests)
    assert {i: line.tokens for i, line in on_card.items()} == {i: line.tokens for i, line in on_cpu.items()}
