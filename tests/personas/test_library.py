"""The library of personas: lazy, careful with ids, patient with broken files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fakes import MODEL_NAME, write_adapter, write_persona
from townsfolk.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from townsfolk.personas.library import PersonaLibrary, default_persona_folders, validate_persona
from townsfolk.personas.schema import read_persona


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for persona_id in ("elf", "smith"):
        write_persona(tmp_path, persona_id)
    return tmp_path


@pytest.fixture
def library(folder: Path) -> PersonaLibrary:
    library = PersonaLibrary([folder])
    library.use_model(MODEL_NAME)
    return library


def change(path: Path, text: str) -> None:
    """Write a file so that its time differs, whatever the file system's resolution."""
    before = path.stat().st_mtime_ns
    path.write_text(text, "utf-8")
    os.utime(path, ns=(before + 10**9, before + 10**9))


def break_toml(persona: Path) -> None:
    change(persona / "persona.toml", "this is no TOML [")


def test_listing_reads_no_persona(folder: Path, library: PersonaLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("townsfolk.personas.library.read_persona", lambda _: pytest.fail("read a persona"))
    (folder / "notes").mkdir()
    (folder / "readme.txt").touch()
    assert library.ids() == ["elf", "smith"]


def test_a_persona_is_read_once_until_its_file_changes(
    folder: Path, library: PersonaLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []

    def counting(place: Path) -> object:
        reads.append(place)
        return read_persona(place)

    monkeypatch.setattr("townsfolk.personas.library.read_persona", counting)
    assert library.get("elf") is library.get("elf")
    assert len(reads) == 1
    change(folder / "elf" / "persona.toml", 'id = "elf"\nname = "Lia"\nsystem = "You are Lia."')
    assert library.get("elf").persona.name == "Lia"
    assert len(reads) == 2


def test_an_unknown_persona_is_answered_with_a_guess(library: PersonaLibrary) -> None:
    with pytest.raises(NotFound, match=r"did you mean 'smith'\?.*elf") as raised:
        library.get("smiht")
    assert raised.value.field == "persona_id"


@pytest.mark.parametrize(
    "persona_id",
    ["", "..", ".", "../elf", "a/b", "a\\b", "/etc", "elf/", "elf\n", "elf\0", "Elf", "ёлка", "-x", "x" * 65, "~"],
)
def test_what_is_no_id_never_reaches_the_file_system(
    library: PersonaLibrary, monkeypatch: pytest.MonkeyPatch, persona_id: str
) -> None:
    monkeypatch.setattr(Path, "is_file", lambda _: pytest.fail("touched the file system"))
    for ask in (library.get, library.reload, library.folder_of, library.look):
        if ask == library.look:
            assert library.look(persona_id)[0] is None
            continue
        with pytest.raises(InvalidArgument) as raised:
            ask(persona_id)
        assert raised.value.field == "persona_id"


def test_a_broken_persona_does_not_hide_the_others(folder: Path, library: PersonaLibrary) -> None:
    break_toml(folder / "elf")
    assert library.ids() == ["elf", "smith"]
    loaded, problems = library.look("elf")
    assert loaded is None
    assert "TOML" in problems[0]
    assert library.get("smith").problems == ()
    with pytest.raises(InvalidArgument, match="TOML"):
        library.get("elf")


def test_a_persona_that_breaks_later_stays_as_it_was(folder: Path, library: PersonaLibrary) -> None:
    before = library.get("elf").persona
    break_toml(folder / "elf")
    after = library.get("elf")
    assert after.persona == before
    assert "TOML" in after.problems[0]
    with pytest.raises(InvalidArgument, match="TOML"):
        library.reload("elf")
    assert library.get("elf").persona == before


def test_a_persona_without_an_adapter_has_only_its_prompt(library: PersonaLibrary) -> None:
    loaded = library.get("elf")
    assert loaded.adapter is None
    assert loaded.usable_adapter() is None
    assert loaded.required_adapter() is None
    assert loaded.problems == ()


def test_an_adapter_for_the_model_is_found_with_its_facts(folder: Path, library: PersonaLibrary) -> None:
    place = write_adapter(folder / "elf", rank=16, weights=b"12345")
    loaded = library.get("elf")
    assert loaded.adapter is not None
    assert len(loaded.adapter.digest) == 64
    assert Path(loaded.adapter.path) == place
    assert (loaded.adapter_rank, loaded.adapter_bytes, loaded.adapter_model) == (16, 5, MODEL_NAME)


def test_an_adapter_for_another_model_is_refused_only_where_one_is_required(
    folder: Path, library: PersonaLibrary
) -> None:
    write_adapter(folder / "elf", "other-model")
    loaded = library.get("elf")
    assert loaded.usable_adapter() is None
    assert "other-model" in loaded.problems[0]
    with pytest.raises(FailedPrecondition, match="none for tiny"):
        loaded.required_adapter()


def test_a_damaged_adapter_is_refused_rather_than_left_out(folder: Path, library: PersonaLibrary) -> None:
    place = write_adapter(folder / "elf")
    (place / "adapter_config.json").write_text("{")
    loaded = library.get("elf")
    for ask in (loaded.usable_adapter, loaded.required_adapter):
        with pytest.raises(InvalidArgument):
            ask()


def test_an_adapter_trained_anew_is_noticed(folder: Path, library: PersonaLibrary) -> None:
    before = library.get("elf").adapter
    place = write_adapter(folder / "elf")
    first = library.get("elf").adapter
    change(place / "adapter_model.safetensors", "other weights")
    second = library.get("elf").adapter
    assert before is None
    assert first is not None
    assert second is not None
    assert first.digest != second.digest


def test_reload_computes_the_digest_even_if_the_times_did_not_change(folder: Path, library: PersonaLibrary) -> None:
    weights = write_adapter(folder / "elf", weights=b"one") / "adapter_model.safetensors"
    first = library.get("elf").adapter
    time = weights.stat().st_mtime_ns
    weights.write_bytes(b"two")
    os.utime(weights, ns=(time, time))
    assert library.get("elf").adapter == first
    assert library.reload("elf").changed == ("elf",)
    assert library.get("elf").adapter != first
    assert library.reload("elf").changed == ()


def test_reload_all_tells_what_came_changed_went_and_failed(folder: Path, library: PersonaLibrary) -> None:
    for persona_id in ("gone", "broken"):
        write_persona(folder, persona_id)
    assert library.survey() == 4
    assert library.reload_all().changed == ()
    write_persona(folder, "new")
    (folder / "gone" / "persona.toml").unlink()
    break_toml(folder / "broken")
    change(folder / "smith" / "persona.toml", 'id = "smith"\nname = "B"\nsystem = "You are B."')
    report = library.reload_all()
    assert (report.added, report.changed, report.removed, report.failed) == (
        ("new",),
        ("smith",),
        ("gone",),
        ("broken",),
    )


def test_the_first_folder_wins_where_two_have_the_same_id(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_persona(first, "elf", name="First")
    write_persona(second, "elf", name="Second")
    write_persona(second, "smith")
    library = PersonaLibrary([first, second])
    assert library.ids() == ["elf", "smith"]
    assert library.get("elf").persona.name == "First"


def test_too_many_personas_are_an_error_of_the_list_only(folder: Path) -> None:
    library = PersonaLibrary([folder], max_personas=1)
    with pytest.raises(ResourceExhausted, match="max_personas"):
        library.ids()
    assert library.get("elf").persona.id == "elf"


def test_a_configured_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"personas\.folders"):
        PersonaLibrary([tmp_path / "nowhere"])


def test_a_model_name_that_is_a_path_finds_no_adapter(folder: Path) -> None:
    write_adapter(folder / "elf", MODEL_NAME)
    library = PersonaLibrary([folder])
    for name in ("", "..", f"../adapters/{MODEL_NAME}", "a\\b"):
        library.use_model(name)
        assert library.get("elf").adapter is None


def test_default_folders_are_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Path(__file__).parents[2]
    monkeypatch.chdir(repository)
    assert default_persona_folders() == [repository / "personas"]
    (tmp_path / "personas").mkdir()
    monkeypatch.chdir(tmp_path)
    assert default_persona_folders() == [tmp_path / "personas", repository / "personas"]


def test_a_sound_persona_has_no_problems(folder: Path) -> None:
    write_adapter(folder / "elf")
    (folder / "elf" / "dialogue.jsonl").write_text('{"player": "Hello.", "reply": "Well met."}\n\n')
    assert validate_persona(folder / "elf", MODEL_NAME) == []


def test_every_bad_line_of_the_dialogue_is_told(folder: Path) -> None:
    rows = [
        '{"player": "Hello.", "reply": "Well met."}',
        "no json",
        '{"player": "Hello."}',
        '{"player": 3, "reply": "x"}',
        '{"player": "a", "reply": "b", "mood": "c"}',
        '["a"]',
    ]
    (folder / "elf" / "dialogue.jsonl").write_text("\n".join(rows))
    problems = validate_persona(folder / "elf", MODEL_NAME)
    assert [p.split(": ")[0] for p in problems] == [f"dialogue.jsonl:{n}" for n in range(2, 7)]


def test_all_bad_keys_and_the_adapter_are_told_at_once(folder: Path) -> None:
    write_persona(folder, "elf", sytem="x", emotions=["Bad Word"], system="x" * 8001)
    place = write_adapter(folder / "elf")
    (place / "adapter_config.json").write_text('{"peft_type": "LOHA"}')
    problems = validate_persona(folder / "elf", MODEL_NAME)
    assert len(problems) == 4
    assert any(p.startswith("persona.toml: emotions[0]: ") for p in problems)
    assert any("LOHA" in p for p in problems)


def test_a_single_fallback_line_is_a_warning(folder: Path) -> None:
    with (folder / "smith" / "persona.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[fallback]]\nline = "Wait."\nwhen = "busy"\n\n[[fallback]]\nline = "Wait."\nwhen = "error"\n')
    (problem,) = validate_persona(folder / "smith", MODEL_NAME)
    assert problem.startswith("warning: persona.toml: fallback: ")


def test_a_long_system_prompt_and_a_missing_adapter_are_warnings(folder: Path) -> None:
    write_persona(folder, "elf", system="x" * 5000)
    write_adapter(folder / "elf", "other-model")
    problems = validate_persona(folder / "elf", MODEL_NAME)
    assert len(problems) == 2
    assert all(p.startswith("warning: ") for p in problems)
