"""Likelihoods of sampled tokens, against transformers' logits and torch's log-softmax, which we did not write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.engine.embedded.driver import Line, adapter_ref, make_engine, prompt_logits, run_lines
from tests.engine.embedded.tiny_models import RECIPES, VOCABULARY, write_adapter, write_model
from townsfolk.engine.embedded import engine as engine_module
from townsfolk.engine.embedded.likelihood import StepLikelihoods
from townsfolk.engine.messages import MAX_TOP_TOKENS, AdapterRef, Generate, SamplingParams, TokenLikelihood

TOLERANCE = 2e-3  # of fp32 sums in another order, in a model with large random weights
WILD = SamplingParams(temperature=1.7, top_k=50, top_p=0.9, min_p=0.01, repetition_penalty=1.4, seed=5, max_tokens=20)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model("llama3", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapter(model: Path, tmp_path_factory: pytest.TempPathFactory) -> AdapterRef:
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    return adapter_ref(write_adapter(base, RECIPES[0], tmp_path_factory.mktemp("adapter"), 1, strength=0.1))


def prompt_of(length: int, seed: int = 0) -> list[int]:
    return torch.randint(3, VOCABULARY, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def likelihoods_of(line: Line) -> list[TokenLikelihood]:
    found = [event.likelihood for event in line.events if event.likelihood is not None]
    assert [likelihood.token_id for likelihood in found] == line.tokens
    return found


@torch.inference_mode()
def reference(model: Path, adapter: AdapterRef | None, prompt: list[int], line: list[int]) -> torch.Tensor:
    """Log-probabilities ``[len(line), vocab]`` at every place of the line, by transformers and PEFT."""
    speaker = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    if adapter is not None:
        speaker = PeftModel.from_pretrained(speaker, adapter.path)
    return speaker(torch.tensor([prompt + line])).logits[0, len(prompt) - 1 : -1].log_softmax(dim=-1)


def test_they_are_the_models_own_whatever_the_sampling(model: Path, adapter: AdapterRef) -> None:
    requests = [
        Generate(1, prompt_of(30, 1), WILD, [], None, top_tokens=3),
        Generate(2, prompt_of(11, 2), WILD, [], adapter, top_tokens=MAX_TOP_TOKENS),
        Generate(3, prompt_of(17, 3), replace(WILD, temperature=0.0), [], adapter, top_tokens=1),
        Generate(4, prompt_of(5, 4), WILD, []),
    ]
    lines = run_lines(make_engine(model), requests)
    assert all(event.likelihood is None for event in lines[4].events)
    for request in requests[:3]:
        line = lines[request.request_id]
        expected = reference(model, request.adapter, request.prompt, line.tokens)
        for place, likelihood in enumerate(likelihoods_of(line)):
            assert likelihood.log_probability == pytest.approx(
                float(expected[place, likelihood.token_id]), abs=TOLERANCE
            )
            top = expected[place].topk(request.top_tokens)
            assert likelihood.candidate_log_probabilities == pytest.approx(top.values.tolist(), abs=TOLERANCE)
            assert likelihood.candidate_ids == top.indices.tolist()


def test_in_int8_they_are_those_of_the_logits_that_were_sampled_from(model: Path, adapter: AdapterRef) -> None:
    engine = make_engine(model, torch.int8)
    request = Generate(1, prompt_of(20), WILD, [], adapter, top_tokens=4)
    line = run_lines(engine, [request, Generate(2, prompt_of(9), WILD, [])])[1]
    logits = prompt_logits(engine, request.prompt + line.tokens, adapter)[len(request.prompt) - 1 : -1]
    expected = logits.log_softmax(dim=-1)
    for place, likelihood in enumerate(likelihoods_of(line)):
        assert likelihood.log_probability == pytest.approx(float(expected[place, likelihood.token_id]), abs=TOLERANCE)
        assert likelihood.candidate_log_probabilities == pytest.approx(
            expected[place].topk(4).values.tolist(), abs=TOLERANCE
        )
    engine.close()


@pytest.mark.parametrize("dtype", [torch.float32, torch.int8], ids=str)
def test_asking_for_them_changes_nobodys_line(model: Path, adapter: AdapterRef, dtype: torch.dtype) -> None:
    def lines(top_tokens: int) -> list[list[int]]:
        engine = make_engine(model, dtype)
        requests = [
            Generate(i, prompt_of(9 + i, i), replace(WILD, seed=i), [], adapter if i % 2 else None, top_tokens=count)
            for i, count in enumerate([top_tokens, 0, top_tokens, 0])
        ]
        spoken = [line.tokens for line in run_lines(engine, requests).values()]
        engine.close()
        return spoken

    assert lines(5) == lines(0)


def test_nothing_is_computed_where_nobody_asks(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden(StepLikelihoods):
        def __init__(self, *arguments: object) -> None:
            raise AssertionError("likelihoods were computed")

    monkeypatch.setattr(engine_module, "StepLikelihoods", Forbidden)
    line = run_lines(make_engine(model), [Generate(1, prompt_of(9), WILD, [])])[1]
    assert len(line.tokens) == WILD.max_tokens
    with pytest.raises(AssertionError, match="were computed"):
        run_lines(make_engine(model), [Generate(1, prompt_of(9), WILD, [], top_tokens=1)])


def test_the_stop_token_has_one_too_but_is_no_token_of_the_line(model: Path) -> None:
    prompt, greedy = prompt_of(9), SamplingParams(temperature=0.0, max_tokens=12)
    free = run_lines(make_engine(model), [Generate(1, prompt, greedy, [])])[1].tokens
    stopped = run_lines(make_engine(model), [Generate(1, prompt, greedy, [free[4]], top_tokens=2)])[1]
    assert stopped.tokens == free[: free.index(free[4])]
    assert len(likelihoods_of(stopped)) == len(stopped.tokens)
    assert stopped.finished is not None
    stop = stopped.finished.stop_token
    assert stop is not None
    assert (stop.token_id, stop.candidate_ids[0], len(stop.candidate_ids)) == (free[4], free[4], 2)
    at_length = run_lines(make_engine(model), [Generate(1, prompt, greedy, [], top_tokens=2)])[1]
    assert at_length.finished is not None
    assert at_length.finished.stop_token is None


def test_each_row_gets_as_many_candidates_as_it_asked_for() -> None:
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(1))
    tokens = torch.tensor([3, 14, 15, 9])
    likelihoods = StepLikelihoods.of(logits, [0, 20, 0, 1])
    assert likelihoods is not None
    logits.zero_()  # as sampling may
    found = likelihoods.of_sampled(tokens)
    assert {row: len(found[row].candidate_ids) for row in found} == {1: 20, 3: 1}
    assert [found[row].token_id for row in (1, 3)] == [14, 9]
    assert found[1].candidate_log_probabilities == sorted(found[1].candidate_log_probabilities, reverse=True)
    assert StepLikelihoods.of(logits, [0, 0, 0, 0]) is None


def test_a_vocabulary_smaller_than_the_wish_gives_all_of_it() -> None:
    likelihoods = StepLikelihoods.of(torch.zeros(1, 3), [20])
    assert likelihoods is not None
    (found,) = likelihoods.of_sampled(torch.tensor([2])).values()
    assert sorted(found.candidate_ids) == [0, 1, 2]
    assert found.log_probability == pytest.approx(float(torch.tensor(1 / 3).log()))
