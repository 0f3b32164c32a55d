"""Whether a model fits into a GPU's memory, estimated from its files before anything is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from townsfolk.config import EngineSettings
from townsfolk.engine.gpu import Gpus
from townsfolk.errors import FailedPrecondition, InvalidArgument, NotFound

GIGABYTE = 1e9
SIXTEEN_BITS, EIGHT_BITS = 2, 1  # bytes
# CUDA's context, TensorRT-LLM's workspaces and captured graphs. An allowance, not a measurement.
OVERHEAD_BYTES = 1_500_000_000
OLDEST_CAPABILITY = (8, 0)  # Ampere; before it bfloat16 is refused
# Bytes of all weights of well-known sizes, the smallest first, to say what would fit.
KNOWN_SIZES = (
    ("a 1B model in 16 bits", 2.5e9),
    ("a 3B model in 4 bits", 2.6e9),
    ("a 3B model in 8 bits", 4.0e9),
    ("an 8B model in 4 bits", 5.8e9),
    ("a 3B model in 16 bits", 6.5e9),
    ("an 8B model in 8 bits", 9.1e9),
    ("an 8B model in 16 bits", 16.1e9),
)


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes on each GPU: all weights, KV of one line of ``max_context``, slots for adapters, everything else."""

    weights: int
    kv: int
    adapter: int
    adapters: int
    overhead: int = OVERHEAD_BYTES

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.adapter * self.adapters + self.overhead


def estimate(folder: Path, settings: EngineSettings) -> Need:
    """What the model in ``folder`` needs. Raises ``NotFound`` or ``InvalidArgument`` where it is no model folder."""
    config = _read_config(folder)
    own = settings.tensorrt_llm
    try:
        hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
        heads, ffn = int(config["num_attention_heads"]), int(config["intermediate_size"])
        kv_heads = int(config.get("num_key_value_heads") or heads)
        head_dim = int(config.get("head_dim") or hidden // max(heads, 1))
        context = min(settings.max_context, int(config.get("max_position_embeddings") or settings.max_context))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgument(f"{folder / 'config.json'} does not describe a language model: {error}") from error
    queries, keys = heads * head_dim, kv_heads * head_dim
    inputs_and_outputs = 2 * (hidden + queries) + 2 * (hidden + keys) + 3 * (hidden + ffn)
    kv_bytes = EIGHT_BITS if own.kv_cache_dtype == "fp8" else SIXTEEN_BITS
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if not weights:
        raise InvalidArgument(f"{folder} has no safetensors weights; TensorRT-LLM reads no other", field="model")
    return Need(
        weights=weights // own.tensor_parallel,
        kv=2 * layers * keys * kv_bytes * context // own.tensor_parallel,
        adapter=layers * settings.max_rank * inputs_and_outputs * SIXTEEN_BITS // own.tensor_parallel,
        adapters=own.max_gpu_adapters,
    )


def check_fit(gpus: Gpus, folder: Path, settings: EngineSettings) -> Need:
    """Raise ``FailedPrecondition`` that says what would fit, where the GPUs are too few, too old or too small."""
    wanted = settings.tensorrt_llm.tensor_parallel
    if len(gpus.gpus) < wanted:
        raise FailedPrecondition(
            f"engine.tensorrt_llm.tensor_parallel is {wanted}, but this machine has {len(gpus.gpus)} GPUs"
        )
    index = device_index(settings.device)
    if index >= len(gpus.gpus):
        raise FailedPrecondition(f"there is no GPU {index}; this machine has {len(gpus.gpus)}", field="device")
    used = gpus.gpus[index : index + 1] if wanted == 1 else gpus.gpus[:wanted]
    for gpu in used:
        if gpu.compute_capability < OLDEST_CAPABILITY:
            major, minor = gpu.compute_capability
            raise FailedPrecondition(
                f"TensorRT-LLM needs an Ampere GPU or a newer one (compute capability 8.0); the {gpu.name} has "
                f"{major}.{minor}. Use the embedded engine"
            )
    need = estimate(folder, settings)
    smallest = min(used, key=lambda gpu: gpu.free_bytes)
    if need.total > smallest.free_bytes:
        raise FailedPrecondition(_too_small(need, smallest.free_bytes, smallest.name, settings), field="model")
    return need


def device_index(device: str) -> int:
    """Which GPU ``auto``, ``cuda`` or ``cuda:N`` means. Raises ``InvalidArgument`` for anything else."""
    if device in ("auto", "cuda"):
        return 0
    kind, _, number = device.partition(":")
    if kind != "cuda" or not number.isdecimal():
        raise InvalidArgument(
            f"the tensorrt_llm engine runs on an NVIDIA GPU, not on {device!r}; use auto, cuda or cuda:N",
            field="device",
        )
    return int(number)


def _too_small(need: Need, free: int, name: str, settings: EngineSettings) -> str:
    message = (
        f"the {name} has {_gb(free)} of memory free, and this model needs about {_gb(need.total)}: {_gb(need.weights)} "
        f"of weights, {_gb(need.adapter * need.adapters)} for {need.adapters} adapters of rank {settings.max_rank}, "
        f"{_gb(need.kv)} of KV for one line, {_gb(need.overhead)} of overhead. "
    )
    without_adapters = free - need.weights - need.kv - need.overhead
    slots = without_adapters // need.adapter if need.adapter else 0
    if slots >= 1:
        return message + f"It would fit with engine.tensorrt_llm.max_gpu_adapters = {slots}, or with a lower max_rank"
    room = free - need.overhead - need.kv - need.adapter
    fitting = [label for label, size in KNOWN_SIZES if size <= room]
    if fitting:
        return message + f"What would fit: {fitting[-1]}; or stop what else uses the GPU"
    return message + "No model worth it would fit: stop what else uses the GPU, or use the embedded engine"


def _gb(size: int) -> str:
    return f"{size / GIGABYTE:.1f} GB"


def _read_config(folder: Path) -> dict[str, Any]:
    if not folder.exists():
        raise NotFound(f"no model at {folder}", field="model")
    if not folder.is_dir():
        raise FailedPrecondition(
            f"TensorRT-LLM reads Hugging Face folders (config.json, safetensors), not {folder.name}; use such, "
            "or the embedded engine for a GGUF file",
            field="model",
        )
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InvalidArgument(f"the model folder {folder} lacks config.json", field="model") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{path} is not valid JSON: {error}", field="model") from error
    if not isinstance(config, dict):
        raise InvalidArgument(f"{path} does not hold a JSON object", field="model")
    return config
