"""The package is one that Unity's package manager takes: metas, assembly definitions, manifest, libraries."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.unity.compiler import PACKAGE, REPOSITORY

ASMDEFS = sorted(PACKAGE.rglob("*.asmdef"))
FOREIGN = {"UnityEngine.UI", "UnityEngine.TestRunner", "UnityEditor.TestRunner", "YarnSpinner.Unity", "Ink-Libraries"}
NAMESPACE = re.compile(r"^using ([\w.]+);$", flags=re.MULTILINE)


def manifest() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((PACKAGE / "package.json").read_text("utf-8"))
    return content


def tool(package: Path, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(package / "Tools~" / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A package of the test's own."""
    ignored = shutil.ignore_patterns("x86_64", "x86_64.meta")
    return Path(shutil.copytree(PACKAGE, tmp_path / "unity_client", ignore=ignored))


def test_every_asset_has_its_own_meta_and_no_meta_is_an_orphan() -> None:
    checked = tool(PACKAGE, "meta_files.py", "--check")
    assert checked.returncode == 0, checked.stdout


def test_missing_orphaned_and_doubled_metas_are_found(copy: Path) -> None:
    (copy / "README.md.meta").unlink()
    (copy / "Gone.cs.meta").write_text("guid: " + "0" * 32, "utf-8")
    shutil.copy(copy / "Runtime.meta", copy / "Editor.meta")
    checked = tool(copy, "meta_files.py", "--check")
    assert checked.returncode == 1
    assert "README.md.meta is missing" in checked.stdout
    assert "Gone.cs.meta belongs to nothing" in checked.stdout
    assert "Runtime.meta has the guid of Editor.meta" in checked.stdout


def test_written_meta_keeps_its_guid(copy: Path) -> None:
    before = (copy / "README.md.meta").read_text("utf-8")
    (copy / "Editor.meta").write_text("mine", "utf-8")
    (copy / "README.md.meta").unlink()
    tool(copy, "meta_files.py")
    assert (copy / "README.md.meta").read_text("utf-8") == before
    assert (copy / "Editor.meta").read_text("utf-8") == "mine"


def test_manifest_names_package_and_samples() -> None:
    package = manifest()
    assert package["name"] == "com.townsfolk.client"
    assert package["unity"] == "2021.3"
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    assert package["version"] == project["version"]
    listed = {sample["path"] for sample in package["samples"]}
    assert listed == {f"Samples~/{path.name}" for path in (PACKAGE / "Samples~").iterdir()}
    for name in ("README.md", "CHANGELOG.md", "LICENSE.md", "Documentation~/index.md"):
        assert (PACKAGE / name).read_text("utf-8").strip()
    assert f"[{package['version']}]" in (PACKAGE / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("path", ASMDEFS, ids=lambda path: path.stem)
def test_assembly_refers_to_assemblies_that_there_are(path: Path) -> None:
    assembly = json.loads(path.read_text("utf-8"))
    own = {other.stem for other in ASMDEFS}
    assert assembly["name"] == path.stem
    assert set(assembly["references"]) <= own | FOREIGN


def test_client_knows_nothing_of_unity() -> None:
    folder = PACKAGE / "Runtime" / "Client"
    assert json.loads((folder / "Townsfolk.Client.asmdef").read_text("utf-8"))["noEngineReferences"] is True
    used = {name for path in folder.rglob("*.cs") for name in NAMESPACE.findall(path.read_text("utf-8"))}
    assert used
    assert not {name for name in used if name.startswith("Unity")}


def test_editor_and_its_tests_stay_out_of_players() -> None:
    for name in ("Editor/Townsfolk.Editor.asmdef", "Tests/Editor/Townsfolk.Editor.Tests.asmdef"):
        assert json.loads((PACKAGE / name).read_text("utf-8"))["includePlatforms"] == ["Editor"]
    for path in (PACKAGE / "Tests").rglob("*.asmdef"):
        assert json.loads(path.read_text("utf-8"))["defineConstraints"] == ["UNITY_INCLUDE_TESTS"]


def test_every_mono_behaviour_has_a_file_of_its_name() -> None:
    declared = re.compile(r"class (\w+) : (?:MonoBehaviour|ScriptableObject|EditorWindow)\b")
    found = {name: path.stem for path in PACKAGE.rglob("*.cs") for name in declared.findall(path.read_text("utf-8"))}
    assert len(found) > 6
    assert all(name == file for name, file in found.items())


@pytest.mark.parametrize(
    ("name", "player"),
    [
        ("libtownsfolk_client.so", "Linux64"),
        ("townsfolk_client.dll", "Win64"),
        ("libtownsfolk_client.dylib", "OSXUniversal"),
    ],
)
def test_library_is_staged_for_its_platform(copy: Path, tmp_path: Path, name: str, player: str) -> None:
    (tmp_path / name).write_bytes(b"a library")
    staged = tool(copy, "stage_library.py", tmp_path / name)
    assert staged.returncode == 0, staged.stderr
    folder = copy / "Runtime" / "Plugins" / "x86_64"
    assert (folder / name).read_bytes() == b"a library"
    assert f"Standalone: {player}" in (folder / f"{name}.meta").read_text("utf-8")
    assert tool(copy, "meta_files.py", "--check").returncode == 0


def test_library_that_is_missing_or_none_of_ours_is_explained(copy: Path, tmp_path: Path) -> None:
    assert "make native" in tool(copy, "stage_library.py", tmp_path / "libtownsfolk_client.so").stderr
    assert "is none of" in tool(copy, "stage_library.py", tmp_path / "other.so").stderr


def test_no_library_is_committed() -> None:
    binaries = [path for suffix in ("so", "dll", "dylib") for path in PACKAGE.rglob(f"*.{suffix}")]
    if not binaries:
        return
    ignored = subprocess.run(
        ["git", "check-ignore", *map(str, binaries)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert len(ignored.stdout.splitlines()) == len(binaries)
