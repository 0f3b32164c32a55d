"""The CPU kernel on every instruction set that this processor has, against plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.engine.embedded.kernels import INSTRUCTION_SETS, load_instruction_set
from tests.engine.embedded.test_sampler import make_logits
from townsfolk.engine.embedded.int8_decoder import kernel_candidates
from townsfolk.engine.embedded.kernel import GROUP, LANES, CModel, Kernel, KernelModel, quantised_matmul
from townsfolk.engine.embedded.sampler import SamplingBatch, sample, torch_candidates
from townsfolk.engine.messages import SamplingParams
from townsfolk.errors import FailedPrecondition

SHAPES = [(LANES, GROUP), (5 * LANES, 3 * GROUP), (9 * LANES, GROUP + 4), (3 * LANES, 7 * GROUP - 16)]


@pytest.fixture(params=INSTRUCTION_SETS)
def kernel(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return load_instruction_set(request.param, tmp_path, monkeypatch)


@pytest.fixture(params=[1, 3], ids=["one-thread", "three-threads"])
def model(kernel: Kernel, request: pytest.FixtureRequest) -> Iterator[KernelModel]:
    """A handle without a model: a team of threads that can multiply."""
    handle = kernel.open(CModel(), request.param, share_cores=True)
    yield handle
    handle.close()


@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
def test_products_equal_those_of_torch_for_any_number_of_rows(
    kernel: Kernel, model: KernelModel, outputs: int, inputs: int
) -> None:
    generator = torch.Generator().manual_seed(outputs + inputs)
    weights = torch.randn(outputs, inputs, generator=generator) * torch.logspace(-3, 3, outputs)[:, None]
    packed = kernel.pack(weights[None])
    padded = packed.inputs
    for rows in (1, 2, 3, 4, 5, 6, 9, 33):
        x = torch.randn(rows, inputs, generator=generator) * torch.logspace(-4, 4, rows)[:, None]
        ours = model.matmul(packed, torch.nn.functional.pad(x, (0, padded - inputs)))
        theirs = quantised_matmul(x, weights, kernel)
        scale = theirs.abs().amax(dim=1, keepdim=True).amax(dim=0) * 1e-4
        torch.testing.assert_close(
            ours / weights.abs().amax(dim=1), theirs / weights.abs().amax(dim=1), rtol=1e-4, atol=float(scale.max())
        )


def test_a_row_has_the_same_bits_whoever_is_beside_it(kernel: Kernel, model: KernelModel) -> None:
    generator = torch.Generator().manual_seed(3)
    packed = kernel.pack(torch.randn(1, 10 * LANES, 4 * GROUP, generator=generator))
    x = torch.randn(13, 4 * GROUP, generator=generator)
    together = model.matmul(packed, x)
    for row in range(13):
        assert torch.equal(model.matmul(packed, x[row : row + 1])[0], together[row])


def test_extreme_activations_and_weights_do_not_overflow(kernel: Kernel, model: KernelModel) -> None:
    weights = torch.ones(2 * LANES, 4 * GROUP)
    weights[LANES:] = -1
    x = torch.ones(2, 4 * GROUP)
    x[1] = -1
    ours = model.matmul(kernel.pack(weights[None]), x)
    assert torch.equal(ours.sign(), torch.tensor([[1.0] * LANES + [-1.0] * LANES, [-1.0] * LANES + [1.0] * LANES]))
    torch.testing.assert_close(ours.abs(), torch.full_like(ours, 4 * GROUP))


def test_zeros_stay_zeros(kernel: Kernel, model: KernelModel) -> None:
    packed = kernel.pack(torch.zeros(1, LANES, GROUP))
    assert torch.equal(model.matmul(packed, torch.ones(3, GROUP)), torch.zeros(3, LANES))
    packed = kernel.pack(torch.ones(1, LANES, GROUP))
    assert torch.equal(model.matmul(packed, torch.zeros(3, GROUP)), torch.zeros(3, LANES))


@pytest.mark.parametrize("vocabulary", [70, 1000, 20_011])
def test_the_likeliest_tokens_are_those_of_torch(model: KernelModel, vocabulary: int) -> None:
    logits = make_logits(6, seed=vocabulary, vocabulary=vocabulary)
    base = SamplingParams(temperature=0.8, top_k=40, seed=7)
    params = [
        base,
        replace(base, temperature=0.0),
        replace(base, repetition_penalty=1.3),
        replace(base, top_k=0, top_p=0.9),
        replace(base, temperature=3.0, top_k=0, top_p=1.0),
        replace(base, temperature=0.0, repetition_penalty=2.0),
    ]
    seen = [torch.rand(vocabulary, generator=torch.Generator().manual_seed(i)) < 0.3 for i in range(6)]
    for drawn in range(20):
        batch = SamplingBatch.of(params, [drawn] * 6, torch.device("cpu"))
        ours = sample(logits.clone(), batch, seen, kernel_candidates(model))
        assert torch.equal(ours, sample(logits.clone(), batch, seen, torch_candidates))


def test_probabilities_of_the_likeliest_tokens_are_those_of_torch(model: KernelModel) -> None:
    logits = make_logits(3, seed=1, vocabulary=5000)
    params = [SamplingParams(temperature=t) for t in (0.3, 1.0, 2.0)]
    batch = SamplingBatch.of(params, [0] * 3, torch.device("cpu"))
    seen = [torch.zeros(5000, dtype=torch.bool)] * 3
    ours = kernel_candidates(model)(logits.clone(), batch, seen)
    theirs = torch_candidates(logits.clone(), batch, seen)
    assert torch.equal(ours.ids, theirs.ids)
    torch.testing.assert_close(ours.probabilities, theirs.probabilities, rtol=1e-4, atol=1e-9)


def test_the_self_test_passes(kernel: Kernel) -> None:
    kernel.self_test(threads=2)


def test_a_kernel_that_computes_wrong_sums_is_refused(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = KernelModel.matmul
    monkeypatch.setattr(KernelModel, "matmul", lambda self, matrix, x: honest(self, matrix, x) * 1.01)
    with pytest.raises(FailedPrecondition, match="computes wrong sums"):
        kernel.self_test(threads=1)


def test_a_missing_library_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"install a C\+\+ compiler"):
        Kernel(tmp_path / "nothing.so")


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kernel.so").write_text("not a library")
    with pytest.raises(FailedPrecondition, match="cannot be loaded"):
        Kernel(tmp_path / "kernel.so")
