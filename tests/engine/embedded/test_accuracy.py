"""What a precision costs: how surprised the shipped characters are by lines of theirs that they were not trained on."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch

from tests.engine.embedded.driver import adapter_ref, make_engine, prompt_logits
from townsfolk.dialogue.prompt import PromptBuilder
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine.embedded.engine import EmbeddedEngine
from townsfolk.engine.embedded.start import cpu_has_native_bf16
from townsfolk.personas.dialogue_file import DIALOGUE_FILE
from townsfolk.personas.schema import read_persona
from townsfolk.training.dataset import TokenisedExample, read_dialogue, split, tokenise

pytestmark = [pytest.mark.real_model, pytest.mark.slow]

PERSONAS = Path(__file__).parents[3] / "personas"
PERPLEXITY_BOUND = 1.01  # times that of the same model in floating point


def test_int8_costs_less_than_a_hundredth_of_the_perplexity(real_model_path: Path) -> None:
    floating = torch.bfloat16 if cpu_has_native_bf16() else torch.float32  # emulated bf16 takes minutes
    exact = perplexity(make_engine(real_model_path, floating))
    engine = make_engine(real_model_path, torch.int8)
    ours = perplexity(engine)
    engine.close()
    assert ours < PERPLEXITY_BOUND * exact, f"{ours:.3f} in int8, {exact:.3f} in {floating}"


def perplexity(engine: EmbeddedEngine) -> float:
    """Of the replies in the held-out dialogue of all characters, each with its own adapter."""
    surprise = [value for folder in characters() for value in _surprises(engine, folder)]
    assert len(surprise) > 2000, "too few tokens to tell anything"
    return math.exp(sum(surprise) / len(surprise))


def characters() -> list[Path]:
    return sorted(folder for folder in PERSONAS.iterdir() if read_persona(folder).kind == "character")


def _surprises(engine: EmbeddedEngine, folder: Path) -> list[float]:
    """-log p of every token of a character's held-out replies. What all prompts begin with is read once."""
    adapter = adapter_ref(next((folder / "adapters").iterdir()))
    examples = held_out(engine, folder)
    prompts = [example.prompt for example in examples]
    shared = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, zip(*prompts, strict=False)))
    prompt_logits(engine, list(prompts[0][:shared]), adapter)
    surprises: list[float] = []
    for example in examples:
        tokens = [*example.prompt, *example.reply]
        logits = prompt_logits(engine, tokens[shared:-1], adapter, position=shared)[-len(example.reply) :]
        scores = logits.log_softmax(dim=-1).gather(1, torch.tensor(example.reply)[:, None])
        surprises += (-scores).flatten().tolist()
    return surprises


def held_out(engine: EmbeddedEngine, folder: Path) -> list[TokenisedExample]:
    ready = engine.ready()
    prompts = PromptBuilder(TextTokenizer(ready.tokenizer_json), ready.family, ready.max_context)
    _, examples = split(read_dialogue(folder / DIALOGUE_FILE))
    return tokenise(examples, read_persona(folder).system, prompts)
