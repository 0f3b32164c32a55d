"""Every source of the plugin compiles against declarations of our own (see stubs/README.md)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.unreal.conftest import PLUGIN, ROOT, run, tool
from tests.unreal.reflection import write_generated_headers

SOURCES = PLUGIN / "Source"
CORE = SOURCES / "Townsfolk/Public/Townsfolk/Core"
STUBS = ROOT / "tests/unreal/stubs"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wno-unused-parameter", "-fno-exceptions", "-fno-rtti"]
DEFINITIONS = ["-DTOWNSFOLK_API=", "-DTOWNSFOLKEDITOR_API="]  # Unreal defines them for its modules


CPP = sorted(path for path in SOURCES.rglob("*.cpp"))
CORE_HEADERS = sorted(CORE.glob("*.h"))
OTHER_HEADERS = sorted(
    path for path in SOURCES.rglob("*.h") if CORE not in path.parents and "ThirdParty" not in path.parts
)
MODULES = [SOURCES / "Townsfolk/Private", SOURCES / "TownsfolkEditor/Private"]
Verdicts = dict[str, Future[subprocess.CompletedProcess[str]]]


def name(path: Path) -> str:
    return str(path.relative_to(SOURCES))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdicts]:
    """What the compiler says to each file, two at a time."""
    compiler = tool("g++")
    work = tmp_path_factory.mktemp("unreal")
    write_generated_headers(SOURCES, work)
    public = [f"-I{SOURCES / 'Townsfolk/Public'}", f"-I{ROOT / 'native_client/include'}"]
    engine = [*DEFINITIONS, *public, f"-I{work}", f"-I{STUBS}"]

    def including(*files: Path) -> Path:
        unit = work / f"{len(list(work.iterdir()))}.cpp"
        unit.write_text("".join(f'#include "{file}"\n' for file in files), "utf-8")
        return unit

    commands = {name(path): ["-std=c++20", *engine, f"-I{path.parent}", str(path)] for path in CPP}
    for path in OTHER_HEADERS:
        commands[name(path)] = ["-std=c++20", *engine, f"-I{path.parent}", str(including(path))]
    for path in CORE_HEADERS:
        commands[name(path)] = ["-std=c++17", *public, str(including(path))]
    for folder in MODULES:
        together = including(*sorted(folder.glob("*.cpp")))
        commands[name(folder)] = ["-std=c++20", *engine, f"-I{folder}", str(together)]
    with ThreadPoolExecutor(2) as pool:
        yield {
            key: pool.submit(run, [compiler, "-fsyntax-only", *WARNINGS, *arguments])
            for key, arguments in commands.items()
        }


def check(verdicts: Verdicts, path: Path) -> None:
    done = verdicts[name(path)].result()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("source", CPP, ids=name)
def test_source_compiles_against_the_stubs(source: Path, verdicts: Verdicts) -> None:
    check(verdicts, source)


@pytest.mark.parametrize("header", OTHER_HEADERS, ids=name)
def test_header_includes_what_it_needs(header: Path, verdicts: Verdicts) -> None:
    check(verdicts, header)


@pytest.mark.parametrize("header", CORE_HEADERS, ids=name)
def test_core_header_needs_no_engine(header: Path, verdicts: Verdicts) -> None:
    check(verdicts, header)


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_module_compiles_as_one_file(module: Path, verdicts: Verdicts) -> None:
    """As Unreal's unity builds do: names of one file must not meet those of another."""
    check(verdicts, module)
