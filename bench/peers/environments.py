"""An environment of its own for each peer, made once below ``.envs`` and used again until its requirements change."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from processes import ChildError, last_line, spawned

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE / ".envs"
LOGS = HERE / ".work" / "logs"
# Where CPU builds of PyTorch come from; the package index itself has only CUDA builds for Linux, several GB of them.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
REQUIREMENT_FILES = {
    "requirements.txt": [],
    "requirements-no-deps.txt": ["--no-deps"],
    # pip's cache would give a build with other settings of the same package for one with these
    "requirements-no-cache.txt": ["--no-cache-dir"],
}


def prepare(peer: str, report: Callable[[str], None]) -> Path:
    """The Python of the peer's environment, made or brought up to date first; ``report`` gets what pip says.

    Raises ``ChildError`` where something cannot be installed.
    """
    folder = ENVIRONMENTS / peer
    python = folder / "bin" / "python"
    stamp, digest = folder / ".installed", _digest(peer)
    if stamp.exists() and stamp.read_text("ascii") == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    log = LOGS / f"install-{peer}.log"
    _run([sys.executable, "-m", "venv", str(folder)], log, report)
    for name, options in REQUIREMENT_FILES.items():
        if (HERE / peer / name).exists():
            pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *options]
            _run([*pip, *_torch_index(), "-r", str(HERE / peer / name)], log, report)
    stamp.write_text(digest, "ascii")
    return python


def _digest(peer: str) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for name in REQUIREMENT_FILES:
        if (HERE / peer / name).exists():
            digest.update((HERE / peer / name).read_bytes())
    return digest.hexdigest()


def _torch_index() -> list[str]:
    """pip's option for the CPU builds, where their index can be reached; else pip would wait for it for minutes."""
    try:
        urllib.request.urlopen(f"{TORCH_CPU_INDEX}/torch/", timeout=5).close()
    except (urllib.error.URLError, TimeoutError):
        return []
    return ["--extra-index-url", TORCH_CPU_INDEX]


def _run(command: list[str], log: Path, report: Callable[[str], None]) -> None:
    jobs = {"CMAKE_BUILD_PARALLEL_LEVEL": str(len(os.sched_getaffinity(0)))}
    with spawned(command, log, jobs) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        last = ""
        with child.stdout:
            for line in child.stdout:
                last = line.strip() or last
                report(last)
        child.wait()
    if child.returncode != 0:
        raise ChildError(f"it could not be installed: {last_line(log) or last}")
