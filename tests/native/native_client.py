"""The built native client for tests: its library, programs compiled against it, and a town for them to find."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.conformance.clients import Missing, client_library
from townsfolk.models import DEFAULT_MODEL

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTED_DAEMON = Path(__file__).parent / "launch" / "scripted_daemon.py"
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


def lay_out_model() -> None:
    """A file that passes for the downloaded model in TOWNSFOLK_CACHE_DIR."""
    DEFAULT_MODEL.path.parent.mkdir(parents=True)
    with DEFAULT_MODEL.path.open("wb") as file:
        file.truncate(DEFAULT_MODEL.size_bytes)  # sparse: only its size is looked at


def _cannot_run(reason: str) -> NoReturn:
    if os.environ.get("TOWNSFOLK_REQUIRE_NATIVE") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
