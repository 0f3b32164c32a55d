"""``persona.toml``: what is refused, and how the refusal reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import write_persona
from townsfolk.dialogue.events import FallbackReason
from townsfolk.errors import InvalidArgument
from townsfolk.personas.schema import MAX_PERSONA_BYTES, read_persona

SHIPPED = Path(__file__).parents[2] / "personas"


def test_a_minimal_persona_gets_the_documented_defaults(tmp_path: Path) -> None:
    persona = read_persona(write_persona(tmp_path, "smith"))
    assert persona.kind == "character"
    assert persona.sampling.temperature == 0.7
    assert persona.sampling.max_tokens == 80
    assert persona.stop == []


@pytest.mark.parametrize("folder", sorted(SHIPPED.glob("*/persona.toml")), ids=lambda p: p.parent.name)
def test_every_shipped_persona_is_valid(folder: Path) -> None:
    assert read_persona(folder.parent).id == folder.parent.name


@pytest.mark.parametrize("folder", sorted(SHIPPED.glob("*/persona.toml")), ids=lambda p: p.parent.name)
def test_every_shipped_character_has_three_fallback_lines_for_each_reason(folder: Path) -> None:
    persona = read_persona(folder.parent)
    if persona.kind == "task":
        pytest.skip("a task has nobody to speak for it")
    fallback = persona.fallback
    for reason in FallbackReason:
        assert len([line for line in fallback if line.when == reason]) >= 3
    assert len({line.line for line in fallback}) == len(fallback)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("sytem", {"sytem": "misspelt"}),
        ("system", {"system": ""}),
        ("system", {"system": "x" * 8001}),
        ("name", {"name": " "}),
        ("kind", {"kind": "tool"}),
        ("stop", {"stop": ["x"] * 17}),
        ("emotions.0", {"emotions": ["Not A Word"]}),
    ],
)
def test_a_bad_value_is_refused_with_its_key(tmp_path: Path, field: str, values: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument) as raised:
        read_persona(write_persona(tmp_path, "smith", **values))
    assert raised.value.field == field
    assert "persona.toml" in raised.value.message


@pytest.mark.parametrize("value", ["nan", "inf", "-1.0", "5.0"])
def test_a_temperature_out_of_range_is_refused(tmp_path: Path, value: str) -> None:
    folder = write_persona(tmp_path, "smith")
    with (folder / "persona.toml").open("a") as file:
        file.write(f"\n[sampling]\ntemperature = {value}\n")
    with pytest.raises(InvalidArgument, match="temperature"):
        read_persona(folder)


def test_the_id_must_be_the_folders_name(tmp_path: Path) -> None:
    folder = write_persona(tmp_path, "smith")
    folder.rename(tmp_path / "elf")
    with pytest.raises(InvalidArgument, match="folder is named 'elf'"):
        read_persona(tmp_path / "elf")


def test_broken_toml_is_told_with_its_line(tmp_path: Path) -> None:
    folder = write_persona(tmp_path, "smith")
    (folder / "persona.toml").write_text('id = "smith"\nname = \n')
    with pytest.raises(InvalidArgument, match="line 2"):
        read_persona(folder)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    folder = write_persona(tmp_path, "smith")
    (folder / "persona.toml").write_bytes(b"#" * (MAX_PERSONA_BYTES + 1))
    with pytest.raises(InvalidArgument, match="larger"):
        read_persona(folder)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    folder = write_persona(tmp_path, "smith")
    (folder / "persona.toml").write_bytes(b'id = "\xff"')
    with pytest.raises(InvalidArgument, match="UTF-8"):
        read_persona(folder)
