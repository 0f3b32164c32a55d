"""Every source of the plugin compiles against declarations of our own (see stubs/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unreal.conftest import PLUGIN, ROOT, run, tool
from tests.unreal.reflection import write_generated_headers

SOURCES = PLUGIN / "Source"
CORE = SOURCES / "Townsfolk/Public/Townsfolk/Core"
STUBS = ROOT / "tests/unreal/stubs"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wno-unused-parameter", "-fno-exceptions", "-fno-rtti"]
DEFINITIONS = ["-DTOWNSFOLK_API=", "-DTOWNSFOLKEDITOR_API="]  # Unreal defines them for its modules


def paths(pattern: str, root: Path = SOURCES) -> list[str]:
    """Relative paths of the files that match, for parametrisation."""
    return sorted(str(path.relative_to(SOURCES)) for path in root.rglob(pattern))


@pytest.fixture(scope="session")
def includes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Include paths of a module of the plugin, with the stubs in the engine's place."""
    generated = tmp_path_factory.mktemp("generated")
    write_generated_headers(SOURCES, generated)
    folders = [
        SOURCES / "Townsfolk/Public",
        ROOT / "native_client/include",
        generated,
        STUBS,
    ]
    return [*DEFINITIONS, *(f"-I{folder}" for folder in folders)]


@pytest.mark.parametrize("source", paths("*.cpp"))
def test_source_compiles_against_the_stubs(source: str, includes: list[str]) -> None:
    own = f"-I{(SOURCES / source).parent}"
    done = run([tool("g++"), "-std=c++20", "-fsyntax-only", *WARNINGS, own, *includes, str(SOURCES / source)])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("header", [path for path in paths("*.h") if "ThirdParty" not in path])
def test_header_includes_what_it_needs(header: str, includes: list[str], tmp_path: Path) -> None:
    """Unreal builds many files as one and in any order."""
    alone = tmp_path / "alone.cpp"
    alone.write_text(f'#include "{SOURCES / header}"\n', "utf-8")
    own = f"-I{(SOURCES / header).parent}"
    done = run([tool("g++"), "-std=c++20", "-fsyntax-only", *WARNINGS, own, *includes, str(alone)])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["Townsfolk", "TownsfolkEditor"])
def test_module_compiles_as_one_file(module: str, includes: list[str], tmp_path: Path) -> None:
    """As Unreal's unity builds do: names of one file must not meet those of another."""
    folder = SOURCES / module / "Private"
    together = tmp_path / "together.cpp"
    together.write_text("".join(f'#include "{path}"\n' for path in sorted(folder.glob("*.cpp"))), "utf-8")
    done = run([tool("g++"), "-std=c++20", "-fsyntax-only", *WARNINGS, f"-I{folder}", *includes, str(together)])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("header", paths("*.h", CORE))
def test_core_header_needs_no_engine(header: str, tmp_path: Path) -> None:
    alone = tmp_path / "alone.cpp"
    alone.write_text(f'#include "{SOURCES / header}"\n', "utf-8")
    folders = [f"-I{SOURCES / 'Townsfolk/Public'}", f"-I{ROOT / 'native_client/include'}"]
    done = run([tool("g++"), "-std=c++17", "-fsyntax-only", *WARNINGS, *folders, str(alone)])
    assert done.returncode == 0, done.stderr
