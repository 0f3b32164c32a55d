"""The NVIDIA GPUs of this machine as their driver tells of them, without loading anything that computes."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from townsfolk.errors import FailedPrecondition

QUERY = "name,memory.total,memory.free,driver_version,compute_cap"
QUERY_TIMEOUT_S = 20.0  # the first call after a boot may wait for the driver
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; memory in bytes, ``compute_capability`` such as (8, 9)."""

    name: str
    total_bytes: int
    free_bytes: int
    driver: str
    compute_capability: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Gpus:
    """All GPUs, and the newest CUDA version that their driver runs, such as (13, 0); (0, 0) where it does not say."""

    gpus: list[Gpu]
    cuda: tuple[int, int]


def find_gpus() -> Gpus:
    """Ask ``nvidia-smi``. Raises ``FailedPrecondition`` with the reason why there is none to use."""
    listing = _nvidia_smi(f"--query-gpu={QUERY}", "--format=csv,noheader,nounits")
    gpus = [_gpu(line) for line in listing.splitlines() if line.strip()]
    if not gpus:
        raise FailedPrecondition("no NVIDIA GPU is in this machine, or the driver hides it (CUDA_VISIBLE_DEVICES?)")
    version = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", _nvidia_smi())
    return Gpus(gpus, (int(version[1]), int(version[2])) if version else (0, 0))


def torch_cuda() -> str:
    """The CUDA version that the installed PyTorch was built for, such as 13.0; empty for a CPU build or none at all.

    Read from its files: importing PyTorch takes seconds.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    try:
        text = (Path(spec.origin).parent / "version.py").read_text("utf-8")
    except OSError:
        return ""
    found = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return found[1] if found else ""


def check_driver(gpus: Gpus) -> None:
    """Raise ``FailedPrecondition`` where PyTorch has no CUDA, or one of a later generation than the driver's."""
    built_for = torch_cuda()
    if not built_for:
        raise FailedPrecondition(
            "the installed PyTorch is a CPU build; install the one for your CUDA version (https://pytorch.org)"
        )
    if gpus.cuda == (0, 0) or int(built_for.partition(".")[0]) <= gpus.cuda[0]:
        return
    raise FailedPrecondition(
        f"the NVIDIA driver {gpus.gpus[0].driver} runs CUDA up to {gpus.cuda[0]}.{gpus.cuda[1]}, but the installed "
        f"PyTorch needs CUDA {built_for}; update the driver"
    )


def _gpu(line: str) -> Gpu:
    fields = [field.strip() for field in line.split(",")]
    try:
        name, total, free, driver, capability = fields
        major, _, minor = capability.partition(".")
        return Gpu(name, int(total) * MEBIBYTE, int(free) * MEBIBYTE, driver, (int(major), int(minor or 0)))
    except ValueError as error:
        raise FailedPrecondition(f"nvidia-smi says {line!r}, which is no GPU that can be used") from error


def _nvidia_smi(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, timeout=QUERY_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise FailedPrecondition("no NVIDIA driver is installed (nvidia-smi was not found)") from error
    except (subprocess.TimeoutExpired, OSError) as error:
        raise FailedPrecondition(f"nvidia-smi does not answer ({error}); restart the machine's driver") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).partition("\n")[0] or f"exit code {done.returncode}"
        raise FailedPrecondition(f"the NVIDIA driver does not work: {said}")
    return done.stdout
