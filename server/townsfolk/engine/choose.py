"""Which engine makes the lines: what the settings ask for, or what this machine can do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass

from townsfolk.config import EngineSettings
from townsfolk.engine.gpu import Gpus, check_driver, find_gpus, torch_cuda
from townsfolk.engine.interface import Engine
from townsfolk.engine.process import EngineProcess
from townsfolk.engine.remote.engine import RemoteEngine
from townsfolk.engine.tensorrt_llm.fit import check_fit, device_index
from townsfolk.errors import FailedPrecondition, InvalidArgument, TownsfolkError

TENSORRT_LLM = "tensorrt_llm"


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine's kind and the device it will compute on, as far as can be told before it starts; and why these."""

    kind: str
    device: str
    reasons: list[str]


def make_engine(settings: EngineSettings) -> Engine:
    """The engine that the settings ask for, not started yet."""
    choice = choose(settings)
    if choice.kind == "remote":
        return RemoteEngine(settings)
    return EngineProcess(settings.model_copy(update={"kind": choice.kind}))


def choose(settings: EngineSettings) -> Choice:
    """The engine that ``auto`` takes, or the one that was asked for.

    TensorRT-LLM if it is installed and its model fits the GPU, else the embedded engine on CUDA, else on the CPU. Looks
    at packages, files and the driver, and loads nothing.
    """
    if settings.kind == "remote":
        return Choice("remote", "elsewhere", ["engine.kind asks for it"])
    if settings.kind == TENSORRT_LLM:
        return Choice(TENSORRT_LLM, "cuda", ["engine.kind asks for it"])
    device, why = embedded_device(settings)
    if settings.kind == "embedded":
        return Choice("embedded", device, ["engine.kind asks for it", why])
    try:
        fits = check_tensorrt_llm(settings)
    except TownsfolkError as error:
        return Choice("embedded", device, [f"not tensorrt_llm: {error.message}", why])
    return Choice(TENSORRT_LLM, "cuda", [fits])


def tensorrt_llm_version() -> str:
    """The installed release; empty where there is none."""
    if importlib.util.find_spec(TENSORRT_LLM) is None:
        return ""
    try:
        return importlib.metadata.version(TENSORRT_LLM)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def check_tensorrt_llm(settings: EngineSettings) -> str:
    """Why TensorRT-LLM can serve these settings here. Raises ``TownsfolkError`` with what keeps it from that."""
    if not sys.platform.startswith("linux"):
        raise FailedPrecondition("TensorRT-LLM runs on Linux only (on Windows: inside WSL 2)")
    version = tensorrt_llm_version()
    if not version:
        raise FailedPrecondition("it is not installed (pip install 'townsfolk[tensorrt-llm]')")
    device_index(settings.device)
    gpus = find_gpus()
    check_driver(gpus)
    if settings.model is None:
        raise InvalidArgument("no model is set; pass --model with a Hugging Face folder", field="model")
    need = check_fit(gpus, settings.model, settings)
    gpu = gpus.gpus[device_index(settings.device)]
    return (
        f"tensorrt_llm {version} is installed, and the model needs about {need.total / 1e9:.1f} GB of the "
        f"{gpu.free_bytes / 1e9:.1f} GB that the {gpu.name} has free"
    )


def embedded_device(settings: EngineSettings) -> tuple[str, str]:
    """Where the embedded engine will compute, and why there."""
    if settings.device != "auto":
        return settings.device, f"engine.device asks for {settings.device}"
    if not torch_cuda():
        return "cpu", "embedded on the CPU: the installed PyTorch is a CPU build"
    try:
        gpus: Gpus = find_gpus()
        check_driver(gpus)
    except TownsfolkError as error:
        return "cpu", f"embedded on the CPU: {error.message}"
    return "cuda", f"embedded on the {gpus.gpus[0].name}: PyTorch is built for CUDA {torch_cuda()}"
