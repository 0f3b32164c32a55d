"""The engine against transformers + PEFT, which we did not write: same weights in, same tokens out."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.engine.embedded.driver import adapter_ref, load_adapters, make_engine, run_lines
from tests.engine.embedded.tiny_models import (
    FAMILIES,
    RECIPES,
    VOCABULARY,
    scale_adapters,
    write_adapter,
    write_model,
)
from townsfolk.engine.messages import Generate, SamplingParams

NEW_TOKENS = 24
BASE = None  # in the place of an adapter's name: a row of the base model


@torch.inference_mode()
def likeliest_tokens(model: PeftModel, adapter: str | None, prompt: list[int], line: list[int]) -> list[int]:
    """What transformers and PEFT hold for the likeliest token at every place of ``line``, read in one pass.

    It equals ``line`` exactly when ``line`` is their greedy continuation of the prompt.
    """
    if adapter is not BASE:
        model.set_adapter(adapter)
    with model.disable_adapter() if adapter is BASE else nullcontext():
        logits = model(torch.tensor([prompt + line])).logits[0]
    return logits[len(prompt) - 1 : -1].argmax(dim=-1).tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_mixed_adapters_and_base_rows_equal_transformers_and_peft(family: str, tmp_path: Path) -> None:
    folder = write_model(family, tmp_path / family)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for seed, recipe in enumerate(RECIPES):
        write_adapter(base, recipe, tmp_path / recipe.name, seed, strength=0.1)
    reference = PeftModel.from_pretrained(base, tmp_path / RECIPES[0].name, adapter_name=RECIPES[0].name)
    for recipe in RECIPES[1:]:
        reference.load_adapter(tmp_path / recipe.name, adapter_name=recipe.name)
    speakers = [BASE, *(recipe.name for recipe in RECIPES), BASE]
    generator = torch.Generator().manual_seed(1)
    lengths = [3, 40, 7, 150, 21, 90, 12, 64]
    prompts = [torch.randint(3, VOCABULARY, (n,), generator=generator).tolist() for n in lengths]

    engine = make_engine(folder, prefill_chunk=16, max_running=8, adapter_columns=192)
    load_adapters(engine, [adapter_ref(tmp_path / recipe.name) for recipe in RECIPES])
    greedy = SamplingParams(temperature=0.0, max_tokens=NEW_TOKENS)
    lines = run_lines(
        engine,
        [
            Generate(i, prompt, greedy, [], None if name is BASE else adapter_ref(tmp_path / name))
            for i, (name, prompt) in enumerate(zip(speakers, prompts, strict=True))
        ],
    )

    for i, (name, prompt) in enumerate(zip(speakers, prompts, strict=True)):
        line = lines[i].tokens
        assert len(line) == NEW_TOKENS
        assert line == likeliest_tokens(reference, name, prompt, line), (family, name)
        if name is not BASE:
            assert line != likeliest_tokens(reference, BASE, prompt, line), "an adapter without effect proves nothing"
    assert engine.stats().max_adapters == len(RECIPES)


@pytest.mark.parametrize("family", ["smollm2", "qwen3"])
def test_one_adapter_at_many_scales_in_one_step_equals_peft_at_each(family: str, tmp_path: Path) -> None:
    folder = write_model(family, tmp_path / family)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for seed, recipe in enumerate(RECIPES[:2]):
        write_adapter(base, recipe, tmp_path / recipe.name, seed, strength=0.1)
    first, other = (tmp_path / recipe.name for recipe in RECIPES[:2])
    prompt = torch.randint(3, VOCABULARY, (40,), generator=torch.Generator().manual_seed(2)).tolist()
    speakers = [(first, 0.25), (first, 1.0), (other, 0.5), (first, 1.75), (None, 1.0), (first, 2.0), (first, 0.25)]

    engine = make_engine(folder, prefill_chunk=16, max_running=8, adapter_columns=96)
    load_adapters(engine, [adapter_ref(first), adapter_ref(other)])
    greedy = SamplingParams(temperature=0.0, max_tokens=NEW_TOKENS)
    requests = [
        Generate(i, prompt, greedy, [], adapter_ref(path, scale) if path else None, top_tokens=1)
        for i, (path, scale) in enumerate(speakers)
    ]
    lines = run_lines(engine, requests)

    for i, (path, scale) in enumerate(speakers):
        speaker = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        if path is not None:
            speaker = PeftModel.from_pretrained(speaker, path)
            scale_adapters(speaker, scale)
        with torch.inference_mode():
            logits = speaker(torch.tensor([prompt + lines[i].tokens])).logits[0, len(prompt) - 1 : -1]
        assert lines[i].tokens == logits.argmax(dim=-1).tolist(), (path, scale)
        ours = [event.likelihood.log_probability for event in lines[i].events if event.likelihood]
        theirs = logits.log_softmax(dim=-1).gather(1, torch.tensor(lines[i].tokens)[:, None]).flatten()
        assert ours == pytest.approx(theirs.tolist(), abs=2e-3), (path, scale)
    assert lines[0].tokens == lines[6].tokens
    assert len({tuple(line.tokens) for line in lines.values()}) == len(speakers) - 1, "a scale without effect"
    assert max(event.rows for line in lines.values() for event in line.events) == len(speakers)
    assert engine.stats().resident_adapters == [adapter_ref(path).digest for path in (other, first)]
