"""What crosses P/Invoke, by a library of ours that tells what it was given; and libraries that do not fit."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unity.compiler import OWN, REPOSITORY, compile_assembly, csharp_tests, run_mono
from tests.unity.conftest import LIBRARY, Outcomes, missing

FAKE = OWN / "csharp" / "fake_client.c"
TESTS = [test for fixture, test in csharp_tests(OWN / "csharp") if fixture == "MarshallingTests"]


def build_fake(folder: Path, *options: str) -> Path:
    if shutil.which("cc") is None:
        missing("a C compiler is not installed; on Debian: apt-get install gcc")
    include = REPOSITORY / "native_client" / "include"
    command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{include}", *options]
    subprocess.run([*command, str(FAKE), "-o", str(folder / LIBRARY)], check=True)
    return folder


@pytest.fixture(scope="session")
def outcomes(run_fixture: Callable[..., Outcomes], tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return run_fixture("Marshalling.dll", "MarshallingTests", build_fake(tmp_path_factory.mktemp("fake")))


@pytest.mark.parametrize("test", TESTS)
def test_marshalling(outcomes: Outcomes, test: str) -> None:
    outcome = outcomes.get(f"MarshallingTests.{test}", "the test did not run to its end")
    assert outcome.startswith("ok "), outcome


@pytest.fixture(scope="session")
def print_connect_error(assemblies: Path) -> Path:
    return compile_assembly(
        assemblies / "PrintConnectError.exe",
        [OWN / "csharp" / "PrintConnectError.cs"],
        [assemblies / "Townsfolk.Client.dll"],
    )


def test_missing_library_says_where_it_belongs(print_connect_error: Path, tmp_path: Path) -> None:
    printed = run_mono(print_connect_error, LD_LIBRARY_PATH=str(tmp_path)).stdout
    assert printed.startswith("TownsfolkLibraryException: The native library townsfolk_client was not found. Copy it")
    assert "Packages/com.townsfolk.client/Runtime/Plugins/x86_64" in printed


def test_library_of_another_interface_version_says_so(print_connect_error: Path, tmp_path: Path) -> None:
    build_fake(tmp_path, "-DFAKE_ABI_VERSION=7")
    printed = run_mono(print_connect_error, LD_LIBRARY_PATH=str(tmp_path)).stdout
    assert printed.startswith("TownsfolkLibraryException: The native library townsfolk_client has interface version 7,")
    assert "Use package and library of the same Townsfolk release." in printed


def test_library_of_somebody_else_says_so(print_connect_error: Path, tmp_path: Path) -> None:
    (tmp_path / "other.c").write_text("int other(void) { return 1; }\n", "utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", str(tmp_path / "other.c"), "-o", str(tmp_path / LIBRARY)], check=True)
    printed = run_mono(print_connect_error, LD_LIBRARY_PATH=str(tmp_path)).stdout
    assert "is not one of Townsfolk's" in printed
