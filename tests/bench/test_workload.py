"""Adapters and prompts that are measured with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from townsfolk.bench.drive import DrivenEngine, adapter_refs
from townsfolk.bench.prompts import FreshPrompts
from townsfolk.bench.workload import random_prompts, write_adapters
from townsfolk.engine.embedded.peft_adapter import PROJECTIONS


def test_written_adapters_load_in_the_engine(tmp_path: Path, driven: DrivenEngine) -> None:
    adapters = adapter_refs(write_adapters(tmp_path, driven.engine.spec, 2, rank=4))
    driven.keep_resident(adapters)
    assert sorted(driven.engine.stats().resident_adapters) == sorted(adapter.digest for adapter in adapters)


def test_peft_applies_written_adapters_to_all_seven_projections(
    tmp_path: Path, tiny_model: Path, driven: DrivenEngine
) -> None:
    (folder,) = write_adapters(tmp_path, driven.engine.spec, 1, rank=4)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), str(folder))
    written = load_file(folder / "adapter_model.safetensors")
    loaded = {name.replace(".default.", "."): weight for name, weight in model.named_parameters() if "lora_" in name}
    assert loaded.keys() == written.keys()
    assert all(torch.equal(weight, written[name].to(weight.dtype)) for name, weight in loaded.items())
    assert {name.split(".")[-3] for name in written} == set(PROJECTIONS)
    scalings = {module.scaling["default"] for _, module in model.named_modules() if hasattr(module, "lora_A")}
    assert scalings == {2.0}


def test_adapters_are_named_in_order_and_differ(tmp_path: Path, driven: DrivenEngine) -> None:
    folders = write_adapters(tmp_path / "one", driven.engine.spec, 3, rank=2)
    assert [folder.name for folder in folders] == ["adapter-00", "adapter-01", "adapter-02"]
    digests = [adapter.digest for adapter in adapter_refs(folders)]
    again = [adapter.digest for adapter in adapter_refs(write_adapters(tmp_path / "two", driven.engine.spec, 3, 2))]
    other = [adapter.digest for adapter in adapter_refs(write_adapters(tmp_path / "six", driven.engine.spec, 3, 2, 1))]
    assert len({*digests, *other}) == 6
    assert again == digests


def test_adapter_weights_are_bf16_with_a_small_b(tmp_path: Path, driven: DrivenEngine) -> None:
    (folder,) = write_adapters(tmp_path, driven.engine.spec, 1, rank=4)
    weights = load_file(folder / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    up = torch.cat([weight.float().flatten() for name, weight in weights.items() if "lora_B" in name])
    assert float(up.std()) == pytest.approx(0.02, rel=0.1)


def test_random_prompts_have_their_size_and_their_seed() -> None:
    prompts = random_prompts(3, 43, 384, seed=5)
    assert [len(prompt) for prompt in prompts] == [43, 43, 43]
    assert all(0 <= token < 384 for prompt in prompts for token in prompt)
    assert prompts == random_prompts(3, 43, 384, seed=5)
    assert prompts != random_prompts(3, 43, 384, seed=6)


def test_fresh_prompts_are_new_every_time() -> None:
    prompts = FreshPrompts(384)
    taken = [tuple(prompt) for _ in range(5) for prompt in prompts.take(4, 12)]
    assert len(set(taken)) == 20
