"""`bench` as a user runs it, over a tiny model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Command
from tests.engine.embedded.tiny_models import write_model
from tests.engine.tensorrt_llm.doubled import doubled

TOWN = ("bench", "town", "--streams", "1,2", "--adapters", "0,2", "--rank", "4", "--new-tokens", "3", "--rounds", "1")
ENGINE = ("--device", "cpu", "--dtype", "fp32", "--threads", "1")


@pytest.fixture(autouse=True, scope="module")
def threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model("smollm2", tmp_path_factory.mktemp("bench") / "tiny"))


def test_json_is_all_that_is_printed(run: Command, model: str) -> None:
    outcome = run(*TOWN, *ENGINE, "--model", model, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert set(report) == {"machine", "model", "date", "rows"}
    assert [(row["streams"], row["adapters"]) for row in report["rows"]] == [(1, 0), (2, 0), (2, 2)]


def test_table_and_files_tell_the_same(run: Command, model: str, tmp_path: Path) -> None:
    folder, chart = tmp_path / "results", tmp_path / "only.png"
    outcome = run(*TOWN, *ENGINE, "--model", model, "--out", str(folder), "--chart", str(chart))
    assert outcome.code == 0
    assert "tokens/s" in outcome.out
    for path in (folder / "town.json", folder / "town.png", chart):
        assert f"wrote {path}\n" in outcome.out
    assert len(json.loads((folder / "town.json").read_text("utf-8"))["rows"]) == 3
    assert (folder / "town.png").read_bytes() == chart.read_bytes()
    assert chart.read_bytes().startswith(b"\x89PNG")


def test_profile_prints_the_phases_of_the_kernel(run: Command, model: str) -> None:
    sizes = ("--streams", "2", "--adapters", "2", "--rank", "4", "--prompt-tokens", "5", "--new-tokens", "10")
    outcome = run("bench", "profile", *sizes, "--dtype", "int8", "--threads", "1", "--model", model)
    assert (outcome.code, outcome.err) == (0, "")
    for phase in ("attention", "QKV GEMM", "sampling"):
        assert phase in outcome.out


def test_profile_without_the_kernel_is_a_sentence(run: Command, model: str) -> None:
    outcome = run("bench", "profile", "--dtype", "fp32", "--threads", "1", "--model", model)
    assert outcome.code == 1
    assert "only the CPU kernel keeps a profile" in outcome.err


@pytest.mark.parametrize(
    "command",
    [
        ("first-token", "--persona-tokens", "20", "--rounds", "1", "--rank", "4"),
        (
            *("scale", "--personas", "3", "--slots", "2", "--streams", "2", "--requests", "4", "--rounds", "1"),
            *("--new-tokens", "3", "--gap-tokens", "10", "--disk-personas", "2", "--rank", "4"),
        ),
    ],
    ids=lambda command: command[0],
)
def test_other_benchmarks_print_a_table(run: Command, model: str, command: tuple[str, ...]) -> None:
    outcome = run("bench", *command, *ENGINE, "--model", model)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("tiny in float32 on ")
    assert "first token" in outcome.out


def test_gpu_benchmark_of_a_tiny_shape_runs_on_the_cpu(run: Command) -> None:
    small = ("--streams", "1", "--adapters", "1", "--new-tokens", "3", "--rounds", "1", "--rank", "4")
    outcome = run("bench", "gpu", "--device", "cpu", "--dtype", "fp32", "--shape", "tiny", *small, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["weights"] == "random"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("town", "--streams", "1,many"), "--streams takes whole numbers from 1 on with commas between, not '1,many'"),
        (("town", "--adapters", ""), "--adapters takes whole numbers from 0 on with commas between, not ''"),
        (("town", "--streams", "1", "--adapters", "8"), "every number of adapters is above every number of streams"),
        (("town", "--model", "nowhere.gguf"), "nowhere.gguf is neither a file nor a known model"),
        (("first-token",), "the model smollm2-135m-instruct is not on this machine yet"),
        (("scale", "--personas", "4", "--slots", "4"), "bench scale needs two slots or more"),
    ],
)
def test_every_error_is_one_sentence(run: Command, command: tuple[str, ...], sentence: str) -> None:
    outcome = run("bench", *command)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"error: {sentence}")
    assert len(outcome.err.splitlines()) == 1


def test_unknown_precision_is_a_sentence(run: Command, model: str) -> None:
    outcome = run("bench", "first-token", "--model", model, "--dtype", "fp99")
    assert outcome.code == 1
    assert outcome.err.startswith("error: the engine cannot be set up for that: dtype: ")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_gpu_benchmark_without_a_card_is_one_sentence(run: Command) -> None:
    outcome = run("bench", "gpu")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: bench gpu needs an NVIDIA card")


def test_chart_without_matplotlib_is_refused_before_anything_is_measured(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from townsfolk.errors import FailedPrecondition

    def missing() -> None:
        raise FailedPrecondition("a chart needs the package matplotlib")

    monkeypatch.setattr("townsfolk.bench.charts.require_matplotlib", missing)
    assert run("bench", "gpu", "--chart", "x.png").err == "error: a chart needs the package matplotlib\n"


def test_interrupt_leaves_no_half_written_results(
    run: Command, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("townsfolk.bench.grid.time_together", interrupted)
    outcome = run(*TOWN, *ENGINE, "--model", model, "--out", str(tmp_path / "results"))
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "interrupted\n")
    assert not (tmp_path / "results").exists()


def test_gpu_benchmark_in_tensorrt_llm_wants_a_model(run: Command) -> None:
    outcome = run("bench", "gpu", "--engine", "tensorrt_llm")
    assert (outcome.code, outcome.err) == (1, "error: --engine tensorrt_llm and --model FOLDER go together\n")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TensorRT-LLM is for Linux")
def test_gpu_benchmark_in_tensorrt_llm_measures_the_same_grid(model: str) -> None:
    sizes = ("--streams", "1,2", "--adapters", "0,2", "--rank", "4", "--new-tokens", "3", "--rounds", "1")
    command = [sys.executable, "-m", "townsfolk.cli", "bench", "gpu", "--engine", "tensorrt_llm", "--model", model]
    with doubled():
        done = subprocess.run(
            [*command, *sizes, "--json"], capture_output=True, text=True, env=os.environ.copy(), check=False
        )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [(row["streams"], row["adapters"]) for row in report["rows"]] == [(1, 0), (2, 0), (2, 2)]
    assert all(row["tokens_per_s"] > 0 for row in report["rows"])
    assert (report["engine"], report["weights"], report["machine"]["tensorrt_llm"]) == (
        "tensorrt_llm",
        "float32",
        "1.2.0",
    )
    assert report["machine"]["accelerator"] == "NVIDIA GeForce RTX 4070"
