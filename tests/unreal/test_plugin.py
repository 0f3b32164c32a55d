"""What Unreal's tools and Fab's reviewers look at: descriptor, tree, names, comments, captures."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.unreal.conftest import PLUGIN, ROOT, run, tool

SOURCES = PLUGIN / "Source"
COPYRIGHT = "Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0."
HEADERS = sorted(SOURCES.rglob("*/Public/*.h")) + sorted(SOURCES.rglob("*/Private/*.h"))
CODE = sorted(path for path in SOURCES.rglob("*") if path.suffix in {".h", ".cpp", ".cs"})


def tracked() -> list[Path]:
    """The plugin's files as git has them, new ones included."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "unreal_client"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines()]


def name(path: Path) -> str:
    return str(path.relative_to(PLUGIN))


@pytest.fixture(scope="module")
def descriptor() -> dict[str, object]:
    loaded: dict[str, object] = json.loads((PLUGIN / "Townsfolk.uplugin").read_text("utf-8"))
    return loaded


def test_descriptor_names_modules_that_are_there(descriptor: dict[str, object]) -> None:
    modules = descriptor["Modules"]
    assert isinstance(modules, list)
    assert {(module["Name"], module["Type"]) for module in modules} == {
        ("Townsfolk", "Runtime"),
        ("TownsfolkEditor", "Editor"),
    }
    for module in modules:
        assert (SOURCES / module["Name"] / f"{module['Name']}.Build.cs").is_file()
        assert module["PlatformAllowList"] == ["Win64", "Mac", "Linux"]
        implemented = [
            path
            for path in CODE
            if f"IMPLEMENT_MODULE(F{module['Name']}Module, {module['Name']})" in path.read_text("utf-8")
        ]
        assert len(implemented) == 1


def test_descriptor_has_the_version_of_the_project(descriptor: dict[str, object]) -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'version = "{descriptor["VersionName"]}"' in project


def test_modules_depend_on_what_their_sources_include() -> None:
    """Headers of modules that are not always there must come with the module in Build.cs."""
    owners = {
        "Interfaces/IPluginManager.h": "Projects",
        "Engine/Console.h": "EngineSettings",
        "Engine/DeveloperSettings.h": "DeveloperSettings",
        "DirectoryWatcherModule.h": "DirectoryWatcher",
        "PropertyEditorModule.h": "PropertyEditor",
        "WorkspaceMenuStructureModule.h": "WorkspaceMenuStructure",
        "Editor.h": "UnrealEd",
        "Widgets/SCompoundWidget.h": "SlateCore",
        "Widgets/Input/SButton.h": "Slate",
        "townsfolk_client.h": "TownsfolkClient",
    }
    for module in ("Townsfolk", "TownsfolkEditor"):
        rules = (SOURCES / module / f"{module}.Build.cs").read_text("utf-8")
        for path in (SOURCES / module).rglob("*"):
            if path.suffix in {".h", ".cpp"}:
                for included in re.findall(r'#include "([^"]+)"', path.read_text("utf-8")):
                    owner = owners.get(included)
                    assert owner is None or f'"{owner}"' in rules, f"{name(path)} includes {included} of {owner}"


@pytest.mark.parametrize("path", CODE, ids=name)
def test_file_begins_with_the_copyright_line(path: Path) -> None:
    assert path.read_text("utf-8").splitlines()[0] == f"// {COPYRIGHT}"


def test_tree_is_clean_for_fab() -> None:
    files = tracked()
    assert PLUGIN / "Townsfolk.uplugin" in files
    for path in files:
        parts = set(path.relative_to(PLUGIN).parts)
        assert not parts & {"Binaries", "Intermediate", "Saved", "Build", "DerivedDataCache", "Lib"}, name(path)
        assert path.suffix not in {".so", ".dll", ".dylib", ".lib", ".a", ".pdb", ".exe"}, name(path)
        assert len(name(path)) <= 140, "Fab's limit is 170 characters, with the plugin's folder"
    assert (PLUGIN / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_packaged_plugin_takes_along_what_is_staged() -> None:
    kept = (PLUGIN / "Config/FilterPlugin.ini").read_text("utf-8")
    assert kept.count("/Source/ThirdParty/TownsfolkClient/") == 2
    for line in kept.splitlines():
        if line.startswith("/") and not line.startswith("/Source/ThirdParty"):
            assert (PLUGIN / line[1:]).exists(), line


def delegates() -> list[tuple[str, str, str]]:
    """Of each Blueprint delegate: the header, its name, and the comment above its UPROPERTY."""
    found = []
    for path in HEADERS:
        text = path.read_text("utf-8")
        for match in re.finditer(r"UPROPERTY\(BlueprintAssignable[^)]*\)\s+\w+ (\w+);", text):
            above = text[: match.start()].rstrip()
            comment = above[above.rfind("/**") :] if above.endswith("*/") else ""
            found.append((path.name, match.group(1), comment))
    return found


def test_there_are_delegates_to_check() -> None:
    assert len(delegates()) >= 15


@pytest.mark.parametrize(("header", "delegate", "comment"), delegates(), ids=lambda value: value[:30])
def test_delegate_says_when_it_fires(header: str, delegate: str, comment: str) -> None:
    assert comment.startswith("/** Fires "), f"{header}: {delegate}"


@pytest.mark.parametrize("path", [p for p in CODE if p.suffix == ".h"], ids=name)
def test_types_have_unreal_prefixes(path: Path) -> None:
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text("utf-8"), flags=re.DOTALL)
    for kind, type_ in re.findall(
        r"^\s*(class|struct|enum class)\s+(?:\w+_API\s+)?(\w+)(?=[^;]*?\{)", text, re.MULTILINE
    ):
        allowed = "E" if kind == "enum class" else "AUFSIT"
        assert re.match(rf"[{allowed}][A-Z]", type_), f"{type_} in {name(path)}"
    for base in re.findall(r"class \w+_API U\w+ : public (\w+)", text):
        assert base.startswith("U")
    for flag in re.findall(r"^\s*bool (\w+)(?: = \w+)?;", text, re.MULTILINE):
        assert re.match(r"b[A-Z]", flag), f"{flag} in {name(path)}"


@pytest.mark.parametrize("path", [p for p in CODE if p.suffix == ".cpp"], ids=name)
def test_no_lambda_that_outlives_the_call_holds_this(path: Path) -> None:
    """Lambdas may hold ``this`` or references only where they run within the statement, in `Start` of a request."""
    text = path.read_text("utf-8")
    for match in re.finditer(r"\[([^\[\]]*)\]\s*(?:\([^)]*\))?\s*\{", text):
        captured = [part.strip() for part in match.group(1).split(",") if part.strip()]
        runs_at_once = "(townsfolk_client* Client)" in match.group(0) or re.search(
            r"const auto \w+ = $", text[: match.start()]
        )
        for part in captured:
            holds = part in {"this", "=", "&"} or part.startswith("&")
            assert not holds or runs_at_once, f"{name(path)}: [{match.group(1)}]"


def test_exposed_functions_take_types_that_blueprints_know() -> None:
    for path in HEADERS:
        text = path.read_text("utf-8")
        for function in re.findall(r"UFUNCTION\([^;]*?\)\s*\n\s*((?:static )?[^;{]+);", text):
            signature = function.replace("\n", " ")
            assert not re.search(r"\b(uint32|uint64|size_t|std::|townsfolk_request|int8|int16|uint16)", signature), (
                signature
            )


def test_outputs_of_a_latent_node_share_one_signature_and_no_name_with_its_inputs() -> None:
    """Unreal makes a node's output pins from its first delegate, and finds pins by name."""
    for path in HEADERS:
        text = path.read_text("utf-8")
        if "public UTownsfolkAsyncAction" not in text:
            continue
        types = set(re.findall(r"UPROPERTY\(BlueprintAssignable\)\s+(\w+) \w+;", text))
        assert len(types) == 1, f"{path.name}: {types}"
        declaration = re.search(rf"_\w+Params?\(\s*{types.pop()},(.*?)\);", text, re.DOTALL)
        assert declaration
        outputs = set(re.findall(r"(\w+)\s*(?:,|$)", declaration.group(1))[1::2])
        assert outputs
        for inputs in re.findall(r"static U\w+\* \w+\((.*?)\);", text, re.DOTALL):
            assert not outputs & set(re.findall(r"(\w+)(?: = [\w:.]+)?\s*(?:,|$)", inputs)), path.name


def test_stage_brings_header_and_library_where_the_build_looks(tmp_path: Path) -> None:
    built = tmp_path / "built"
    built.mkdir()
    (built / "libtownsfolk_client.so.0").write_bytes(b"library")
    (built / "libtownsfolk_client.so").symlink_to("libtownsfolk_client.so.0")
    (built / "townsfolk_client.dll").write_bytes(b"dll")
    (built / "townsfolk_client.lib").write_bytes(b"import library")
    module = tmp_path / "TownsfolkClient"
    done = run([tool("python3"), str(PLUGIN / "Tools/stage.py"), str(built), "--into", str(module)])
    assert done.returncode == 0, done.stderr
    staged = {str(path.relative_to(module)): path for path in module.rglob("*") if path.is_file()}
    assert sorted(staged) == [
        "Include/townsfolk_client.h",
        "Lib/Linux/libtownsfolk_client.so",
        "Lib/Win64/townsfolk_client.dll",
        "Lib/Win64/townsfolk_client.lib",
    ]
    assert staged["Lib/Linux/libtownsfolk_client.so"].read_bytes() == b"library"
    assert not staged["Lib/Linux/libtownsfolk_client.so"].is_symlink()
    header = ROOT / "native_client/include/townsfolk_client.h"
    assert staged["Include/townsfolk_client.h"].read_bytes() == header.read_bytes()
    rules = (SOURCES / "ThirdParty/TownsfolkClient/TownsfolkClient.Build.cs").read_text("utf-8")
    for path in staged:
        assert f'"{Path(path).name}"' in rules or path.startswith("Include/")


def test_stage_says_what_is_missing(tmp_path: Path) -> None:
    done = run([tool("python3"), str(PLUGIN / "Tools/stage.py"), str(tmp_path)])
    assert done.returncode == 1
    assert "make native" in done.stderr
    done = run([tool("python3"), str(PLUGIN / "Tools/stage.py"), str(tmp_path / "nowhere")])
    assert "is no folder" in done.stderr


def test_c_header_leaves_unreals_macro_alone() -> None:
    """Unreal defines TOWNSFOLK_API for a module named Townsfolk."""
    header = (ROOT / "native_client/include/townsfolk_client.h").read_text("utf-8")
    assert not re.search(r"\bTOWNSFOLK_API\b", header)
