"""Tools that the tests of the Unreal client share, and what to do where they are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "unreal_client"


def missing(what: str) -> None:
    """Skips the test, or fails it where the native clients are required."""
    if os.environ.get("TOWNSFOLK_REQUIRE_NATIVE") == "1":
        pytest.fail(f"{what}, and TOWNSFOLK_REQUIRE_NATIVE=1 asks for it")
    pytest.skip(what)


def tool(name: str) -> str:
    """Path of a program that the tests need."""
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not installed")
    return str(found)


def run(command: list[str], *, timeout: float = 900, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a tool with its output captured."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
        check=False,
    )


def cmake_build(folder: Path, target: str, *definitions: str) -> Path:
    """Configures tests/unreal in ``folder`` and builds one of its programs."""
    if not any((Path(prefix) / "include/gtest/gtest.h").exists() for prefix in ("/usr", "/usr/local", "/opt/homebrew")):
        missing("GoogleTest is not installed")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    configure = [tool("cmake"), "-S", str(ROOT / "tests/unreal"), "-B", str(folder), *generator, *definitions]
    for command in (configure, [tool("cmake"), "--build", str(folder), "--target", target, "--parallel", "2"]):
        done = run(command)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / target
