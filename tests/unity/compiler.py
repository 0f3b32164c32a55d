"""Compiling the Unity package with Mono's `mcs`, assembly by assembly as its asmdefs divide it, and running it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "unity_client"
OWN = REPOSITORY / "tests" / "unity"
NUNIT = Path("/usr/lib/cli/nunit.framework-2.6.3/nunit.framework.dll")  # Debian: libnunit-framework2.6.3-cil

# Fields that Unity's serialisation fills look unassigned to the compiler.
SERIALISED_FIELDS = "-nowarn:649,414"


def compile_assembly(
    out: Path, sources: Iterable[Path], references: Iterable[Path] = (), options: Iterable[str] = ()
) -> Path:
    """Compiles C# 7 files into a library (or a program, by `out`'s name), every warning an error."""
    target = "exe" if out.suffix == ".exe" else "library"
    command = ["mcs", "-warnaserror", "-langversion:7", "-debug", f"-target:{target}", f"-out:{out}", *options]
    command += [f"-r:{reference}" for reference in references]
    command += [str(source) for source in sorted(sources)]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    return out


def run_mono(program: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a C# program to its end."""
    command = ["mono", "--debug", str(program), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, **environment}
    )


def sources(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*.cs")]


def csharp_tests(folder: Path) -> list[tuple[str, str]]:
    """Fixture and method of every test in these files."""
    found = []
    for path in sorted(folder.rglob("*.cs")):
        fixture, marked = "", False
        for line in path.read_text("utf-8").splitlines():
            if match := re.match(r"\s*public class (\w+)", line):
                fixture = match[1]
            elif marked and (match := re.match(r"\s*public void (\w+)\(\)", line)):
                found.append((fixture, match[1]))
            marked = line.strip() == "[Test]"
    return found
