"""Components, editor code and samples compile, against API stubs of ours: a compile check and nothing more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unity.compiler import OWN, PACKAGE, SERIALISED_FIELDS, compile_assembly, sources

SAMPLES = sorted(path.name for path in (PACKAGE / "Samples~").iterdir() if path.is_dir())


def test_components_and_editor_code_compile(assemblies: Path) -> None:
    assert (assemblies / "Townsfolk.Components.dll").exists()
    assert (assemblies / "Townsfolk.Editor.dll").exists()


@pytest.mark.parametrize("sample", SAMPLES)
def test_sample_compiles(assemblies: Path, tmp_path: Path, sample: str) -> None:
    guests = [compile_assembly(tmp_path / f"{guest}.dll", [OWN / "stubs" / f"{guest}.cs"]) for guest in ("Yarn", "Ink")]
    own = [assemblies / f"{name}.dll" for name in ("UnityEngine", "Townsfolk.Client", "Townsfolk.Components")]
    options = [SERIALISED_FIELDS, "-d:TOWNSFOLK_YARN,TOWNSFOLK_INK"]
    files = sources(PACKAGE / "Samples~" / sample)
    assert files
    compile_assembly(tmp_path / "Sample.dll", files, [*own, *guests], options)


@pytest.mark.parametrize("sample", ["YarnSpinner", "Ink"])
def test_sample_compiles_to_nothing_without_its_guest(assemblies: Path, tmp_path: Path, sample: str) -> None:
    own = [assemblies / f"{name}.dll" for name in ("UnityEngine", "Townsfolk.Client", "Townsfolk.Components")]
    compile_assembly(tmp_path / "Sample.dll", sources(PACKAGE / "Samples~" / sample), own)
