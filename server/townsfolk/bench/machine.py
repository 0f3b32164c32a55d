"""The machine that a measurement was made on: what it is, and how fast its memory and its arithmetic are."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from townsfolk.engine.embedded.kernel import load_kernel
from townsfolk.engine.embedded.start import CORES

if TYPE_CHECKING:
    from townsfolk.bench.drive import DrivableEngine

CPU_INFO = Path("/proc/cpuinfo")
OWN_MEMORY = Path("/proc/self/statm")
# What matters for matrix products, by the names of /proc/cpuinfo.
SIMD_FLAGS = (
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)
MEASURE_S = 0.25  # per rate; long enough for the clock to rise
READ_BYTES = 256 * 1024 * 1024  # far beyond any cache
PRODUCT_SIZE = 1024  # rows, columns and depth of the measured matrix products


def describe(engine: DrivableEngine) -> dict[str, Any]:
    """The machine, as a JSON object, with the device, precision and threads that the engine uses.

    ``read_gb_per_s`` is measured over 256 MiB, the multiply rates over products of 1024 x 1024 matrices, all by PyTorch
    on the CPU; a multiplication with its addition counts as two operations. ``None`` where it cannot be told.
    """
    ready = engine.ready()
    threads = engine.settings.threads or CORES
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "simd": simd_features(),
        "memory_gb": _memory_gb(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "kernel": _kernel(ready.dtype),
        "accelerator": _accelerator(ready.device),
        "device": ready.device,
        "dtype": ready.dtype,
        "threads": threads,
        **_rates(threads),
    }


def cpu_model() -> str:
    """The name of the processor as it gives itself."""
    return next(iter(_cpu_info("model name")), "") or platform.processor() or platform.machine()


def simd_features() -> list[str]:
    """Vector instructions that the CPU has; empty where the system does not tell (it is Linux that does)."""
    words = " ".join(_cpu_info("flags")[:1] or _cpu_info("Features")[:1]).split()
    return [flag for flag in SIMD_FLAGS if flag in words]


def resident_mb() -> float | None:
    """Memory of this process that is resident, in MB; ``None`` where the system does not tell."""
    try:
        pages = int(OWN_MEMORY.read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _accelerator(device: str) -> str | None:
    computes = device.startswith("cuda") and torch.cuda.is_available()
    return torch.cuda.get_device_name(device) if computes else None


def _kernel(dtype: str) -> str:
    """What computes on the CPU, and the instructions it was built for."""
    if dtype == "int8":
        return f"townsfolk {load_kernel().instruction_set}"
    return f"torch {torch.backends.cpu.get_cpu_capability()}"


def _cpu_info(key: str) -> list[str]:
    try:
        lines = CPU_INFO.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    pairs = (line.partition(":") for line in lines)
    return [value.strip() for name, _, value in pairs if name.strip() == key]


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def _rates(threads: int) -> dict[str, float | None]:
    """What PyTorch reaches with so many threads; an engine with a kernel of its own leaves it one."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return {
            "read_gb_per_s": _read_rate(),
            "fp32_gflop_per_s": _fp32_rate(),
            "int8_gop_per_s": _int8_rate(),
        }
    finally:
        torch.set_num_threads(before)


def _read_rate() -> float:
    data = torch.ones(READ_BYTES // 8, dtype=torch.int64)
    return round(READ_BYTES / _fastest(lambda: data.sum()) / 1e9, 1)


def _fp32_rate() -> float:
    a, b = torch.randn(PRODUCT_SIZE, PRODUCT_SIZE), torch.randn(PRODUCT_SIZE, PRODUCT_SIZE)
    return _product_rate(lambda: a @ b)


def _int8_rate() -> float | None:
    a, b = (torch.randint(-128, 128, (PRODUCT_SIZE, PRODUCT_SIZE), dtype=torch.int8) for _ in range(2))
    try:
        return _product_rate(lambda: torch._int_mm(a, b))
    except (AttributeError, RuntimeError):  # not in every build of PyTorch
        return None


def _product_rate(product: Callable[[], object]) -> float:
    return round(2 * PRODUCT_SIZE**3 / _fastest(product) / 1e9, 1)


def _fastest(run: Callable[[], object]) -> float:
    """Seconds of the fastest of the runs that ``MEASURE_S`` leaves time for, at least two after a first one."""
    run()
    times: list[float] = []
    give_up = time.perf_counter() + MEASURE_S
    while len(times) < 2 or time.perf_counter() < give_up:
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)
