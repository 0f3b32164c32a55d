"""From settings to a loaded TensorRT-LLM engine, and from its errors to sentences."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from townsfolk.config import EngineSettings
from townsfolk.engine.gpu import check_driver, find_gpus
from townsfolk.engine.tensorrt_llm.fit import check_fit, device_index
from townsfolk.engine.tensorrt_llm.options import ModelOptions
from townsfolk.errors import FailedPrecondition, InvalidArgument, TownsfolkError

if TYPE_CHECKING:
    from townsfolk.engine.tensorrt_llm.engine import ServedModel, TensorRtLlmEngine

log = logging.getLogger(__name__)

INSTALL = "install it with: pip install 'townsfolk[tensorrt-llm]' (Linux; see docs/tensorrt-llm.md)"


def start_engine(settings: EngineSettings, wake: Callable[[], None]) -> TensorRtLlmEngine:
    """Load the model that the settings name. Raises ``TownsfolkError`` with a sentence that says what to do."""
    if settings.model is None:
        raise InvalidArgument("no model is set; pass --model with a Hugging Face folder", field="model")
    gpus = find_gpus()
    check_driver(gpus)
    check_fit(gpus, settings.model, settings)
    _choose_gpu(settings)
    try:
        from townsfolk.engine.tensorrt_llm.engine import TensorRtLlmEngine
    except ImportError as error:
        raise FailedPrecondition(f"TensorRT-LLM cannot be used: {error}; {INSTALL}") from error
    started = time.perf_counter()
    model = describe_model(settings.model, settings.tensorrt_llm.quantised_from)
    options = ModelOptions.of(settings, settings.model, min(settings.max_context, model.spec.max_context))
    try:
        engine = TensorRtLlmEngine(model, settings, options, wake)
    except TownsfolkError:
        raise
    except Exception as error:
        log.exception("TensorRT-LLM could not load the model")
        raise FailedPrecondition(_why(error), field="engine") from error
    log.info("%s in TensorRT-LLM, %s, loaded in %.1f s", model.spec.name, model.dtype, time.perf_counter() - started)
    return engine


def describe_model(folder: Path, quantised_from: Path | None) -> ServedModel:
    """What the daemon has to know of the model in ``folder``.

    Quantising may move norm weights, by which adapters know their base model; so the fingerprint of a quantised model
    is that of ``quantised_from`` where that is given. Raises ``TownsfolkError`` for folders that hold no model.
    """
    from townsfolk.engine.embedded.checkpoint import fingerprint, open_checkpoint
    from townsfolk.engine.tensorrt_llm.engine import ServedModel

    checkpoint = open_checkpoint(folder)
    return ServedModel(
        spec=checkpoint.spec,
        fingerprint=fingerprint(open_checkpoint(quantised_from) if quantised_from else checkpoint),
        dtype=precision_of(folder),
        tokenizer_json=checkpoint.tokenizer_json,
        bos_id=checkpoint.bos_id,
        eos_ids=checkpoint.eos_ids,
    )


def precision_of(folder: Path) -> str:
    """How the weights in ``folder`` are kept: the quantisation's name, such as ``w4a16_awq``, or the dtype."""
    for name, section in (("hf_quant_config.json", "quantization"), ("config.json", "quantization_config")):
        table = _read(folder / name).get(section)
        if isinstance(table, dict):
            algorithm = table.get("quant_algo") or table.get("quant_method")
            if algorithm:
                return str(algorithm).lower()
    config = _read(folder / "config.json")
    return str(config.get("dtype") or config.get("torch_dtype") or "auto")


def _choose_gpu(settings: EngineSettings) -> None:
    """TensorRT-LLM takes the first GPUs it sees; so that it sees the one that was asked for first."""
    index = device_index(settings.device)
    if index and settings.tensorrt_llm.tensor_parallel == 1:
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as nvidia-smi counts
        os.environ["CUDA_VISIBLE_DEVICES"] = str(index)


def _why(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    if "out of memory" in str(error).lower():
        return (
            f"the GPU ran out of memory while TensorRT-LLM loaded the model ({text}); lower engine.max_context, "
            "engine.max_rank, engine.tensorrt_llm.max_gpu_adapters or kv_cache_fraction, or use a smaller or quantised "
            "model"
        )
    return (
        f"TensorRT-LLM could not load the model: {text}; `townsfolk doctor --engine tensorrt_llm` compares the "
        "installed release with the one that townsfolk was written for"
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
