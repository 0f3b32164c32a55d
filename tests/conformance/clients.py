"""The clients under test: how the runner of each is built and started, or why it cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
LIBRARY_NAMES = {"win32": "townsfolk_client.dll", "darwin": "libtownsfolk_client.dylib"}
UNITY_RUNTIME = REPOSITORY / "unity_client" / "Runtime" / "Client"
# What a runner inherits: nothing that could name another daemon than the one under test.
UNWANTED = ("TOWNSFOLK_ADDRESS", "TOWNSFOLK_TOKEN", "TOWNSFOLK_COMMAND")


class Missing(Exception):
    """Something that a client needs is not on this machine. The message says what."""


@dataclass(frozen=True)
class Runner:
    """A command that speaks the runners' protocol, and its environment."""

    command: list[str]
    environment: Mapping[str, str]


def client_library() -> Path:
    """The native client: ``TOWNSFOLK_CLIENT_LIBRARY``, else what ``make native`` built. Raises ``Missing``."""
    name = LIBRARY_NAMES.get(sys.platform, "libtownsfolk_client.so")
    path = Path(os.environ.get("TOWNSFOLK_CLIENT_LIBRARY") or REPOSITORY / "build" / "native" / name)
    if not path.is_file():
        raise Missing(f"there is no native client at {path}; `make native` builds it")
    return path.resolve()


def python_runner(scratch: Path) -> Runner:
    return Runner([sys.executable, "-m", "tests.conformance.python_client"], _environment(scratch))


def cpp_runner(scratch: Path) -> Runner:
    library, program = client_library(), scratch / "cpp_runner"
    compiler = _tool("c++", "g++")
    include = REPOSITORY / "native_client" / "include"
    warnings = ["-Wall", "-Wextra", "-Werror"]
    sources = [f"-I{include}", str(HERE / "cpp" / "runner.cpp"), str(library), f"-Wl,-rpath,{library.parent}"]
    _build([compiler, "-std=c++17", *warnings, *sources, "-o", str(program)])
    return Runner([str(program)], _environment(scratch))


def csharp_runner(scratch: Path) -> Runner:
    library, program = client_library(), scratch / "csharp_runner.exe"
    compiler, mono = _tool("mcs"), _tool("mono")
    if not UNITY_RUNTIME.is_dir():
        raise Missing(f"there is no C# client at {UNITY_RUNTIME}")
    sources = [str(path) for path in sorted(UNITY_RUNTIME.rglob("*.cs"))]
    _build([compiler, "-langversion:7", "-unsafe", f"-out:{program}", str(HERE / "csharp" / "Runner.cs"), *sources])
    environment = _environment(scratch) | {"LD_LIBRARY_PATH": str(library.parent)}
    return Runner([mono, str(program)], environment)


CLIENTS: dict[str, Callable[[Path], Runner]] = {
    "python": python_runner,
    "cpp": cpp_runner,
    "csharp": csharp_runner,
}


def _environment(scratch: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key not in UNWANTED}
    state = {f"TOWNSFOLK_{name}_DIR": str(scratch / name.lower()) for name in ("STATE", "CACHE")}
    return {**inherited, **state, "PYTHONUNBUFFERED": "1"}


def _tool(*names: str) -> str:
    for name in names:
        if found := shutil.which(name):
            return found
    raise Missing(f"{' or '.join(names)} is not installed")


def _build(command: list[str]) -> None:
    built = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if built.returncode != 0:
        raise AssertionError(f"a runner does not compile: {' '.join(command)}\n{built.stdout}{built.stderr}")
