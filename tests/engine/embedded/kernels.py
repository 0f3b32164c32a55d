"""The CPU kernel, loaded once for each instruction set that this processor has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from townsfolk.engine.embedded.kernel import LIBRARY, Kernel

INSTRUCTION_SETS = ("avx512-vnni", "avx2", "portable")


def load_instruction_set(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A library of its own that uses this instruction set: it chooses when it is first asked, and once only.

    Skips where the processor lacks it, or where the kernel was not compiled and TOWNSFOLK_REQUIRE_KERNEL is not 1.
    """
    if not LIBRARY.exists() and os.environ.get("TOWNSFOLK_REQUIRE_KERNEL") != "1":
        pytest.skip("the CPU kernel was not compiled")
    monkeypatch.setenv("TOWNSFOLK_KERNEL_ISA", name)
    kernel = Kernel(Path(shutil.copy(LIBRARY, folder / LIBRARY.name)))
    if kernel.instruction_set != name:
        pytest.skip(f"this processor has no {name}")
    return kernel
