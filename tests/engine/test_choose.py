"""Which engine is taken on which machine; GPUs come from the double of nvidia-smi."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.embedded.tiny_models import write_model
from tests.engine.tensorrt_llm.doubled import DOUBLE
from townsfolk.config import EngineSettings
from townsfolk.engine import choose, gpu
from townsfolk.engine.choose import make_engine
from townsfolk.engine.process import EngineProcess

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TensorRT-LLM is for Linux")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model("llama2", tmp_path_factory.mktemp("model"))


@pytest.fixture
def rtx_machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with an RTX card, a PyTorch for CUDA 13 and TensorRT-LLM; tests take some of it away."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(DOUBLE / "bin"), os.environ["PATH"]]))
    for module in (choose, gpu):
        monkeypatch.setattr(module, "torch_cuda", lambda: "13.0")
    monkeypatch.setattr(choose, "tensorrt_llm_version", lambda: "1.2.0")
    return monkeypatch


def chosen(model: Path | None, **settings: Any) -> tuple[str, str, str]:
    choice = choose.choose(EngineSettings.model_validate({"model": model, **settings}))
    return choice.kind, choice.device, "; ".join(choice.reasons)


def test_auto_takes_tensorrt_llm_where_it_is_and_the_model_fits(rtx_machine: object, model: Path) -> None:
    kind, device, why = chosen(model)
    assert (kind, device) == ("tensorrt_llm", "cuda")
    assert "RTX 4070" in why
    assert "1.2.0" in why


def test_auto_takes_the_gpu_without_tensorrt_llm(rtx_machine: pytest.MonkeyPatch, model: Path) -> None:
    rtx_machine.setattr(choose, "tensorrt_llm_version", lambda: "")
    kind, device, why = chosen(model)
    assert (kind, device) == ("embedded", "cuda")
    assert "not installed" in why
    assert "RTX 4070" in why


@pytest.mark.parametrize(
    ("name", "value", "device", "words"),
    [
        ("NVIDIA_SMI_DOUBLE", "RTX 3050, 1500, 1400, 580.1, 8.6", "cuda", "What would fit|No model worth it"),
        ("NVIDIA_SMI_DOUBLE", "GTX 1080, 8192, 8000, 580.1, 6.1", "cuda", "Ampere"),
        ("NVIDIA_SMI_DOUBLE", "broken", "cpu", "driver does not work"),
        ("NVIDIA_SMI_DOUBLE_CUDA", "12.4", "cpu", "update the driver"),
    ],
)
def test_auto_falls_back_and_says_why(
    rtx_machine: pytest.MonkeyPatch, model: Path, name: str, value: str, device: str, words: str
) -> None:
    rtx_machine.setenv(name, value)
    kind, where, why = chosen(model)
    assert (kind, where) == ("embedded", device)
    assert any(word in why for word in words.split("|")), why


def test_auto_takes_the_embedded_engine_for_a_gguf_file(rtx_machine: object, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    kind, device, why = chosen(file)
    assert (kind, device) == ("embedded", "cuda")
    assert "Hugging Face folders" in why


def test_auto_heeds_the_device_that_was_asked_for(rtx_machine: object, model: Path) -> None:
    kind, device, why = chosen(model, device="cpu")
    assert (kind, device) == ("embedded", "cpu")
    assert "engine.device asks for cpu" in why


def test_auto_is_embedded_on_the_cpu_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.setattr(choose, "torch_cuda", lambda: "")
    kind, device, why = chosen(model)
    assert (kind, device) == ("embedded", "cpu")
    assert "CPU build" in why


@pytest.mark.parametrize("kind", ["embedded", "tensorrt_llm"])
def test_what_is_asked_for_is_taken_whatever_the_machine(kind: str, model: Path) -> None:
    assert chosen(model, kind=kind)[0] == kind
    engine = make_engine(EngineSettings.model_validate({"model": model, "kind": kind}))
    assert isinstance(engine, EngineProcess)
    assert engine.name == kind


def test_the_cuda_version_of_pytorch_is_read_from_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "version.py").write_text("debug = False\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n")

    class Spec:
        origin = str(package / "__init__.py")

    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: Spec)
    assert gpu.torch_cuda() == "12.8"
    (package / "version.py").write_text("cuda: Optional[str] = None\n")
    assert gpu.torch_cuda() == ""
