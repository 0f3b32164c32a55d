"""Whole forward passes of the int8 decoder, against transformers and PEFT with every linear layer quantised alike."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.engine.embedded.driver import adapter_ref, make_engine, prompt_logits, run_lines
from tests.engine.embedded.kernels import INSTRUCTION_SETS, load_instruction_set
from tests.engine.embedded.tiny_models import (
    FAMILIES,
    RECIPES,
    VOCABULARY,
    scale_adapters,
    write_adapter,
    write_model,
)
from townsfolk.config import EngineSettings
from townsfolk.engine.embedded.checkpoint import open_checkpoint
from townsfolk.engine.embedded.engine import EmbeddedEngine
from townsfolk.engine.embedded.kernel import Kernel, quantised_matmul
from townsfolk.engine.embedded.start import choose_dtype, start_engine
from townsfolk.engine.messages import AdapterRef, Generate, SamplingParams
from townsfolk.errors import FailedPrecondition, InvalidArgument

CPU = torch.device("cpu")
WHOLE_LANES: dict[str, Any] = {"qwen3": {"head_dim": 32}}  # the kernel needs multiples of 16
# Of the size of logits: random weights amplify that keys are bf16 and that some roundings fall the other way.
ERROR_BOUND = 0.1


@pytest.fixture(autouse=True, params=INSTRUCTION_SETS)
def kernel(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Every test runs on every instruction set."""
    kernel = load_instruction_set(request.param, tmp_path, monkeypatch)
    for user in ("backend", "start"):
        monkeypatch.setattr(f"townsfolk.engine.embedded.{user}.load_kernel", lambda: kernel)
    return kernel


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return write_model(request.param, folder, **WHOLE_LANES.get(request.param, {}))


@pytest.fixture(scope="module")
def adapters(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[AdapterRef]:
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    folder = tmp_path_factory.mktemp("adapters")
    return [
        adapter_ref(write_adapter(base, recipe, folder / recipe.name, seed, strength=0.1))
        for seed, recipe in enumerate(RECIPES)
    ]


def random_prompt(length: int, seed: int = 0) -> list[int]:
    return torch.randint(3, VOCABULARY, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def error(ours: torch.Tensor, reference: torch.Tensor) -> float:
    return float((ours - reference).norm() / reference.norm())


def quantise_linear_layers(model: torch.nn.Module, kernel: Kernel) -> None:
    """Make all linear layers, those of adapters included, compute as the kernel does."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.forward = partial(quantised_linear, module, kernel)  # type: ignore[method-assign]


def quantised_linear(module: torch.nn.Linear, kernel: Kernel, x: torch.Tensor) -> torch.Tensor:
    product = quantised_matmul(x.reshape(-1, x.shape[-1]), module.weight.float(), kernel)
    product = product.view(*x.shape[:-1], -1)
    return product if module.bias is None else product + module.bias


@torch.inference_mode()
def reference_logits(model: Path, adapter: AdapterRef | None, prompt: list[int], kernel: Kernel) -> torch.Tensor:
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    speaker = base if adapter is None else PeftModel.from_pretrained(base, adapter.path)
    if adapter is not None:
        scale_adapters(speaker, adapter.scale)
    quantise_linear_layers(speaker, kernel)
    return speaker(torch.tensor([prompt])).logits[0]


def test_logits_equal_those_of_quantised_transformers_and_peft(
    model: Path, adapters: list[AdapterRef], kernel: Kernel
) -> None:
    prompt = random_prompt(150)
    engine = make_engine(model, torch.int8, adapter_columns=192)
    base = reference_logits(model, None, prompt, kernel)
    for adapter in [None, *adapters]:
        reference = reference_logits(model, adapter, prompt, kernel)
        found = error(prompt_logits(engine, prompt, adapter), reference)
        assert found < ERROR_BOUND, f"{adapter}: {found:.3f}"
        if adapter is not None:
            assert error(base, reference) > 2 * ERROR_BOUND, "an adapter without effect proves nothing"
    engine.close()


def test_an_adapter_at_any_scale_equals_peft_at_that_scale(
    model: Path, adapters: list[AdapterRef], kernel: Kernel
) -> None:
    prompt = random_prompt(40)
    engine = make_engine(model, torch.int8, adapter_columns=192)
    base = prompt_logits(engine, prompt, None)
    assert torch.equal(prompt_logits(engine, prompt, replace(adapters[0], scale=0.0)), base)
    for scale in (0.5, 1.0, 2.0):
        adapter = replace(adapters[0], scale=scale)
        ours = prompt_logits(engine, prompt, adapter)
        found = error(ours, reference_logits(model, adapter, prompt, kernel))
        assert found < ERROR_BOUND, f"{scale}: {found:.3f}"
        assert error(base, ours) > 2 * ERROR_BOUND, "an adapter without effect proves nothing"
    engine.close()


def test_one_adapter_at_many_scales_in_one_step_is_at_each_as_if_alone(model: Path, adapters: list[AdapterRef]) -> None:
    scales = (0.25, 1.0, 1.75, 1.0, 2.0)
    requests = [
        Generate(
            i, random_prompt(24), SamplingParams(temperature=0.0, max_tokens=16), [], replace(adapters[0], scale=scale)
        )
        for i, scale in enumerate(scales)
    ]

    def lines(*groups: list[Generate]) -> list[list[int]]:
        engine = make_engine(model, torch.int8, max_running=8, threads=2, share_cores=True)
        spoken = [line.tokens for group in groups for line in run_lines(engine, group).values()]
        assert engine.stats().resident_adapters == [adapters[0].digest], "one copy of the weights serves all scales"
        engine.close()
        return spoken

    together = lines(requests)
    assert together == lines(*([request] for request in requests))
    assert together[1] == together[3]
    assert len(set(map(tuple, together))) == 4, "a scale without effect"


def test_a_line_is_the_same_alone_and_in_a_mixed_batch(model: Path, adapters: list[AdapterRef]) -> None:
    requests = [
        Generate(i, random_prompt(9 + 13 * i, i), SamplingParams(temperature=1.0, seed=i, max_tokens=20), [], adapter)
        for i, adapter in enumerate([None, *adapters, None])
    ]

    def lines(threads: int, *groups: list[Generate]) -> list[list[int]]:
        engine = make_engine(
            model, torch.int8, adapter_columns=192, max_running=8, prefill_chunk=16, threads=threads, share_cores=True
        )
        spoken = [line.tokens for group in groups for line in run_lines(engine, group).values()]
        engine.close()
        return spoken

    together = lines(3, requests)
    assert together == lines(1, requests)
    assert together == lines(2, *([request] for request in requests))


def test_an_adapter_that_was_evicted_is_read_again(model: Path, adapters: list[AdapterRef]) -> None:
    engine = make_engine(model, torch.int8, adapter_columns=64, adapter_slots=1)
    greedy = SamplingParams(temperature=0.0, max_tokens=8)
    first, other = adapters[0], adapters[2]

    def speak(number: int, adapter: AdapterRef) -> list[int]:
        return run_lines(engine, [Generate(number, random_prompt(20), greedy, [], adapter)])[number].tokens

    before = speak(1, first)
    assert speak(2, other) != before
    assert speak(3, first) == before
    assert engine.pool.evictions == 2
    engine.close()


def test_int8_is_the_choice_on_a_cpu(model: Path) -> None:
    assert choose_dtype("auto", CPU, open_checkpoint(model).spec) is torch.int8


def test_a_model_whose_sizes_do_not_fit_gets_another_precision_and_a_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = open_checkpoint(write_model("qwen3", tmp_path)).spec
    assert choose_dtype("auto", CPU, spec) in (torch.bfloat16, torch.float32)
    assert "head size that is a multiple of 16, not 24" in caplog.text
    with pytest.raises(FailedPrecondition, match="head size"):
        choose_dtype("int8", CPU, spec)


def test_without_a_kernel_the_engine_still_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_kernel() -> None:
        raise FailedPrecondition("the CPU kernel was not built")

    monkeypatch.setattr("townsfolk.engine.embedded.start.load_kernel", no_kernel)
    engine: EmbeddedEngine = start_engine(EngineSettings(model=write_model("llama2", tmp_path)), lambda: None)
    assert engine.dtype in (torch.bfloat16, torch.float32)
    assert "the CPU kernel was not built" in caplog.text


def test_the_kernel_has_all_threads_and_pytorch_one_however_many_engines_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = EngineSettings(model=write_model("llama2", tmp_path), dtype="int8", threads=2, keep_prepared=False)
    with caplog.at_level("INFO"):
        for _ in range(2):
            start_engine(settings, lambda: None).close()
            assert torch.get_num_threads() == 1
    started = [record.message for record in caplog.records if "loaded in" in record.message]
    assert [", 2 threads, " in message for message in started] == [True, True]


def test_int8_on_a_gpu_is_refused(model: Path) -> None:
    with pytest.raises(InvalidArgument, match="for the CPU"):
        choose_dtype("int8", torch.device("cuda"), open_checkpoint(model).spec)
