"""The real SmolLM2 against transformers + PEFT, both from the same GGUF file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.engine.embedded.driver import adapter_ref, load_adapters, make_engine, prompt_logits, run_lines
from tests.engine.embedded.tiny_models import RECIPES, write_adapter
from townsfolk.dialogue.prompt import PromptBuilder
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine.embedded.checkpoint import open_checkpoint
from townsfolk.engine.messages import AdapterRef, Generate, SamplingParams

pytestmark = pytest.mark.real_model

NEW_TOKENS = 12
TOP_TOKENS = 5
LINES = (
    ("You are a gate guard.", "Who goes there?"),
    ("You are a baker who loves riddles.", "What is the price of a loaf of rye bread today?"),
    ("", "Tell me of the sea."),
    ("You are an old sailor, tired of storms, who speaks in short sentences.", "Will it rain?"),
    ("You are a thief.", "Give me back my purse, or I shall call the watch at once!"),
    ("You are a queen.", "Héllo 🧝, what is 17 + 25?"),
    ("You are a child.", "Why is the sky blue?"),
    ("You are a dragon.", "Spare me."),
)
# What a precision may cost the log-probability of the likeliest token, in the mean and at most. Measured over the
# prompts above: bf16 0.03 and 0.22, int8 0.05 and 0.42; the bounds leave room for other CPUs.
LOG_PROBABILITY_ERRORS = {torch.bfloat16: (0.08, 0.6), torch.int8: (0.12, 1.0)}


@dataclass
class Reference:
    """What transformers + PEFT say: for each line its prompt, adapter, greedy tokens and prompt log-probabilities."""

    prompts: list[list[int]]
    adapters: list[AdapterRef | None]
    lines: list[list[int]]
    log_probabilities: list[torch.Tensor]


@pytest.fixture(scope="module")
def reference(real_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    checkpoint = open_checkpoint(real_model_path)
    builder = PromptBuilder(TextTokenizer(checkpoint.tokenizer_json), checkpoint.spec.family, 2048)
    prompts = [builder.build(system, [], "", text, max_tokens=64) for system, text in LINES]
    model = AutoModelForCausalLM.from_pretrained(
        real_model_path.parent, gguf_file=real_model_path.name, dtype=torch.float32
    )
    adapters: list[AdapterRef | None] = [None]
    for seed, recipe in enumerate(RECIPES):
        folder = tmp_path_factory.mktemp(recipe.name)
        adapters.append(adapter_ref(write_adapter(model, recipe, folder, seed, strength=0.06)))
    adapters.append(None)
    lines, log_probabilities = [], []
    for prompt, adapter in zip(prompts, adapters, strict=True):
        speaker = model if adapter is None else PeftModel.from_pretrained(model, adapter.path)
        line, scores = greedy_line(speaker, prompt)
        lines.append(line)
        log_probabilities.append(scores)
        if adapter is not None:
            with torch.inference_mode():
                base_scores = speaker.base_model.unload()(torch.tensor([prompt])).logits[0].log_softmax(dim=-1)
            assert (scores - base_scores).abs().max() > 1.0, "an adapter without effect proves nothing"
    return Reference(prompts, adapters, lines, log_probabilities)


@torch.inference_mode()
def greedy_line(model: torch.nn.Module, prompt: list[int]) -> tuple[list[int], torch.Tensor]:
    """Greedy continuation by transformers alone, and its log-probabilities over the prompt ``[len, vocab]``."""
    scores = model(torch.tensor([prompt])).logits[0].log_softmax(dim=-1)
    tokens = [int(scores[-1].argmax())]
    while len(tokens) < NEW_TOKENS:
        tokens.append(int(model(torch.tensor([prompt + tokens])).logits[0, -1].argmax()))
    return tokens, scores


@pytest.mark.slow  # transformers reads every line anew for each of its tokens
def test_a_mixed_batch_in_fp32_equals_transformers_and_peft_token_by_token(
    real_model_path: Path, reference: Reference
) -> None:
    engine = make_engine(real_model_path, adapter_columns=192, max_running=8, prefill_chunk=24)
    load_adapters(engine, [adapter for adapter in reference.adapters if adapter])
    greedy = SamplingParams(temperature=0.0, max_tokens=NEW_TOKENS)
    lines = run_lines(
        engine,
        [
            Generate(i, prompt, greedy, [], adapter, top_tokens=TOP_TOKENS)
            for i, (prompt, adapter) in enumerate(zip(reference.prompts, reference.adapters, strict=True))
        ],
    )
    assert [lines[i].tokens for i in range(len(lines))] == reference.lines
    for line, scores in zip(lines.values(), reference.log_probabilities, strict=True):
        first, top = line.events[0].likelihood, scores[-1].topk(TOP_TOKENS)
        assert first is not None
        assert first.candidate_ids == top.indices.tolist()
        assert first.candidate_log_probabilities == pytest.approx(top.values.tolist(), abs=1e-3)
    assert engine.stats().max_adapters == len(RECIPES)


@pytest.mark.parametrize("dtype", LOG_PROBABILITY_ERRORS, ids=str)
def test_a_precision_stays_within_its_log_probability_bound(
    dtype: torch.dtype, real_model_path: Path, reference: Reference
) -> None:
    engine = make_engine(real_model_path, dtype, adapter_columns=192)
    errors = []
    for prompt, adapter, scores in zip(reference.prompts, reference.adapters, reference.log_probabilities, strict=True):
        ours = prompt_logits(engine, prompt, adapter).log_softmax(dim=-1)
        likely = scores.argmax(dim=-1, keepdim=True)
        errors.append((ours.gather(1, likely) - scores.gather(1, likely)).abs().flatten())
    engine.close()
    error = torch.cat(errors)
    mean, largest = LOG_PROBABILITY_ERRORS[dtype]
    assert error.mean() < mean, f"mean {error.mean():.3f}, max {error.max():.3f}"
    assert error.max() < largest, f"mean {error.mean():.3f}, max {error.max():.3f}"
