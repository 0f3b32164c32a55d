"""P/Invoke's structs, enums and functions are those of the C header, by what a C compiler makes of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unity.compiler import OWN, REPOSITORY, compile_assembly, run_mono
from tests.unity.conftest import missing

HEADER = REPOSITORY / "native_client" / "include" / "townsfolk_client.h"

# C# enum → C enum and what its constants begin with.
ENUMS = {
    "TownsfolkStatus": ("townsfolk_status", "TOWNSFOLK_"),
    "EventKind": ("townsfolk_event_kind", "TOWNSFOLK_EVENT_"),
    "ConnectionState": ("townsfolk_connection", "TOWNSFOLK_CONNECTION_"),
    "FinishReason": ("townsfolk_finish_reason", "TOWNSFOLK_FINISH_"),
    "LinePriority": ("townsfolk_priority", "TOWNSFOLK_PRIORITY_"),
    "VariantKind": ("townsfolk_variant_kind", "TOWNSFOLK_VARIANT_"),
    "StoryPart": ("townsfolk_story_part", "TOWNSFOLK_STORY_PART_"),
    "ConsoleStyle": ("townsfolk_console_style", "TOWNSFOLK_CONSOLE_"),
}


def pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.lower().split("_"))


def header() -> str:
    return re.sub(r"/\*.*?\*/", "", HEADER.read_text("utf-8"), flags=re.DOTALL)


def structs() -> dict[str, list[str]]:
    """Fields of every struct of the header."""
    found = re.findall(r"typedef struct townsfolk_(\w+) \{(.*?)\}", header(), flags=re.DOTALL)
    return {name: re.findall(r"(\w+);", body) for name, body in found}


def functions() -> dict[str, int]:
    """Number of parameters of every function of the header."""
    found = re.findall(r"TOWNSFOLK_CLIENT_API [\w\s*]*?(townsfolk_\w+)\(([^)]*)\);", header())
    return {name: 0 if parameters == "void" else parameters.count(",") + 1 for name, parameters in found}


def enums() -> dict[str, list[str]]:
    """Constants of every enum that C# has too."""
    found = re.findall(r"typedef enum (\w+) \{(.*?)\}", header(), flags=re.DOTALL)
    return {name: re.findall(r"(TOWNSFOLK_\w+) =", body) for name, body in found}


def c_program() -> str:
    lines = ["#include <stdio.h>", '#include "townsfolk_client.h"', "int main(void) {"]
    for name, fields in structs().items():
        own = f"Native{pascal(name)}"
        lines.append(f'printf("size {own} %zu\\n", sizeof(townsfolk_{name}));')
        for field in fields:
            lines.append(f'printf("offset {own}.{pascal(field)} %zu\\n", offsetof(townsfolk_{name}, {field}));')
    for own, (name, prefix) in ENUMS.items():
        for constant in enums()[name]:
            lines.append(f'printf("enum {own}.{pascal(constant.removeprefix(prefix))} %d\\n", {constant});')
    return "\n".join([*lines, "return 0; }"])


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    if shutil.which("cc") is None:
        missing("a C compiler is not installed; on Debian: apt-get install gcc")
    folder = tmp_path_factory.mktemp("layout")
    (folder / "layout.c").write_text(c_program(), "utf-8")
    program = folder / "layout"
    command = ["cc", f"-I{HEADER.parent}", str(folder / "layout.c"), "-o", str(program)]
    subprocess.run(command, check=True)
    return set(subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.splitlines())


@pytest.fixture(scope="module")
def in_csharp(assemblies: Path) -> set[str]:
    program = compile_assembly(assemblies / "PrintLayout.exe", [OWN / "csharp" / "PrintLayout.cs"])
    return set(run_mono(program, assemblies / "Townsfolk.Client.dll").stdout.splitlines())


@pytest.mark.parametrize("what", ["size", "offset", "enum"])
def test_layout_is_the_headers(in_c: set[str], in_csharp: set[str], what: str) -> None:
    expected = {line for line in in_c if line.startswith(what)}
    assert len(expected) > 10
    assert {line for line in in_csharp if line.startswith(what)} == expected


def test_every_function_of_the_header_can_be_called(in_csharp: set[str]) -> None:
    declared = functions()
    assert len(declared) > 20
    imported = {line for line in in_csharp if line.startswith("function")}
    assert imported == {f"function {name} {parameters}" for name, parameters in declared.items()}
