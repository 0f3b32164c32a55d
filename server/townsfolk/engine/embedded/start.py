"""From settings to a loaded engine: which device, which precision, how many threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import torch

from townsfolk.config import EngineSettings
from townsfolk.engine.embedded.checkpoint import open_checkpoint
from townsfolk.engine.embedded.engine import EmbeddedEngine
from townsfolk.engine.embedded.int8_decoder import Int8Decoder, base_bytes, check_shape
from townsfolk.engine.embedded.kernel import load_kernel
from townsfolk.engine.embedded.prepared import PreparedCheckpoint, keep_prepared, open_prepared
from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.errors import FailedPrecondition, InvalidArgument

log = logging.getLogger(__name__)

CORES = torch.get_num_threads()  # without hyper-threads, as PyTorch counts them
DTYPES = {"int8": torch.int8, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def start_engine(settings: EngineSettings, wake: Callable[[], None]) -> EmbeddedEngine:
    """Load the model that the settings name. Raises ``TownsfolkError`` with a sentence that says what to do."""
    if settings.model is None:
        raise InvalidArgument("no model is set; pass --model or run `townsfolk models pull`", field="model")
    started = time.perf_counter()
    device = choose_device(settings.device)
    threads = settings.threads or CORES
    if device.type == "cpu":
        torch.set_num_threads(threads)
    prepared = _find_prepared(settings, device)
    checkpoint = prepared or open_checkpoint(settings.model)
    dtype = choose_dtype(settings.dtype, device, checkpoint.spec)
    engine = EmbeddedEngine(checkpoint, settings, device, dtype, wake)
    if settings.keep_prepared and prepared is None and isinstance(engine.decoder, Int8Decoder):
        keeping = (settings.model, load_kernel(), checkpoint, engine.decoder.packed)
        threading.Thread(target=keep_prepared, args=keeping, name="keeper", daemon=True).start()
    if isinstance(engine.decoder, Int8Decoder):
        # The kernel has threads of its own. PyTorch's would do little, and then spin for a while on the kernel's cores.
        torch.set_num_threads(1)
    log.info(
        "%s on %s in %s, %d threads, loaded in %.1f s",
        engine.spec.name,
        device,
        str(dtype).removeprefix("torch."),
        threads,
        time.perf_counter() - started,
    )
    return engine


def _find_prepared(settings: EngineSettings, device: torch.device) -> PreparedCheckpoint | None:
    if settings.model is None or device.type != "cpu" or settings.dtype not in ("auto", "int8"):
        return None
    try:
        kernel = load_kernel()
    except FailedPrecondition:
        return None
    prepared = open_prepared(settings.model, kernel) if settings.keep_prepared else None
    if prepared is None or prepared.packed_bytes != base_bytes(prepared.spec, kernel):
        return None
    return prepared


def choose_device(wanted: str) -> torch.device:
    """The device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` stands for. Raises ``InvalidArgument``."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise InvalidArgument(
            f"device {wanted!r} is not known; use auto, cpu, cuda or cuda:N", field="device"
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InvalidArgument(
            "device cuda was asked for, but this PyTorch sees no NVIDIA GPU; use --device cpu or install a CUDA build",
            field="device",
        )
    return device


def choose_dtype(wanted: str, device: torch.device, spec: ModelSpec) -> torch.dtype:
    """int8 on a CPU whose kernel passes its self-test; else bf16 where the hardware multiplies it, fp16 or fp32.

    Raises ``InvalidArgument`` or ``FailedPrecondition`` where int8 is asked for and cannot be had.
    """
    if wanted == "int8":
        if device.type != "cpu":
            raise InvalidArgument("dtype int8 is for the CPU; use bf16 or fp16 on a GPU", field="dtype")
        check_int8(spec)
    if wanted != "auto":
        return DTYPES[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    try:
        check_int8(spec)
    except FailedPrecondition as reason:
        log.warning("int8 is not used, which makes every line much slower: %s", reason.message)
        return torch.bfloat16 if cpu_has_native_bf16() else torch.float32
    return torch.int8


def check_int8(spec: ModelSpec) -> None:
    """Raise ``FailedPrecondition`` with the reason why int8 cannot be used here."""
    check_shape(spec)
    kernel = load_kernel()
    kernel.self_test(torch.get_num_threads())
    log.info("CPU kernel: %s", kernel.instruction_set)


def cpu_has_native_bf16() -> bool:
    """Whether the CPU has AVX512-BF16 or AMX; emulated bf16 is slower than fp32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name)()) for name in checks if hasattr(torch.cpu, name))
