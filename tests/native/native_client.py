"""The built native client for tests: its library, programs compiled against it, and a town for them to find."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from tests.conformance.clients import Missing, client_library
from townsfolk.models import DEFAULT_MODEL

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTED_DAEMON = Path(__file__).parent / "launch" / "scripted_daemon.py"
PATIENCE_S = 60.0  # no test waits so long unless it fails
COMMAND = f'"{sys.executable}" "{SCRIPTED_DAEMON}"'


def required_library() -> Path:
    """The library. Skips where there is none, fails if TOWNSFOLK_REQUIRE_NATIVE=1."""
    try:
        return client_library()
    except Missing as missing:
        _cannot_run(str(missing))


def compiled(program: Path, *sources: Path) -> Path:
    """A program built from C++ sources and the library."""
    library = required_library()
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        _cannot_run("there is no C++ compiler")
    flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{REPOSITORY / 'native_client' / 'include'}"]
    inputs = [*map(str, sources), str(library), f"-Wl,-rpath,{library.parent}", "-pthread"]
    built = subprocess.run(
        [compiler, *flags, *inputs, "-o", str(program)], capture_output=True, text=True, timeout=300, check=False
    )
    assert built.returncode == 0, built.stderr
    return program


def soon(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes to hold."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that its parent has not noticed does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def lay_out_model() -> None:
    """A file that passes for the downloaded model in TOWNSFOLK_CACHE_DIR."""
    DEFAULT_MODEL.path.parent.mkdir(parents=True)
    with DEFAULT_MODEL.path.open("wb") as file:
        file.truncate(DEFAULT_MODEL.size_bytes)  # sparse: only its size is looked at


def _cannot_run(reason: str) -> NoReturn:
    if os.environ.get("TOWNSFOLK_REQUIRE_NATIVE") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
