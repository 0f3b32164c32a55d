"""`townsfolk personas`, on the shipped ones and on broken ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.cli.conftest import REPOSITORY, Command
from tests.cli.scripted_town import ScriptedTown
from tests.fakes import write_persona

SHIPPED = REPOSITORY / "personas"


def copy_of(tmp_path: Path, *ids: str) -> Path:
    for persona_id in ids:
        shutil.copytree(SHIPPED / persona_id, tmp_path / "personas" / persona_id)
    return tmp_path / "personas"


def test_list_names_the_shipped_personas(run: Command) -> None:
    outcome = run("personas", "list")
    assert outcome.code == 0
    for name in ("old_knight", "Dame Aldith", "forest_elf", "Sylwen Duskbriar"):
        assert name in outcome.out
    entries = json.loads(run("personas", "list", "--json").out)
    assert [entry["id"] for entry in entries] == sorted(entry["id"] for entry in entries)
    assert set(entries[0]) == {"id", "kind", "name", "summary", "folder", "adapter", "problems"}


def test_list_leaves_tasks_out_unless_asked(run: Command, tmp_path: Path) -> None:
    folder = copy_of(tmp_path, "old_knight")
    write_persona(folder, "proofreader", kind="task")
    (write_persona(folder, "unreadable") / "persona.toml").write_text("[")

    def listed(*options: str) -> list[str]:
        entries = json.loads(run("personas", "list", "--personas", str(folder), "--json", *options).out)
        return [entry["id"] for entry in entries]

    assert listed() == ["old_knight", "unreadable"]
    assert listed("--kind", "task") == ["proofreader", "unreadable"]
    assert listed("--kind", "all") == ["old_knight", "proofreader", "unreadable"]


def test_list_without_a_task_says_so(run: Command, tmp_path: Path) -> None:
    outcome = run("personas", "list", "--personas", str(copy_of(tmp_path, "old_knight")), "--kind", "task")
    assert (outcome.code, outcome.out.startswith("no tasks here")) == (0, True)


def test_show_prints_the_whole_sheet(run: Command) -> None:
    outcome = run("personas", "show", "old_knight")
    assert outcome.code == 0
    assert "Dame Aldith  old_knight" in outcome.out
    sheet = json.loads(run("personas", "show", "old_knight", "--json").out)
    assert (sheet["id"], sheet["name"]) == ("old_knight", "Dame Aldith")
    assert sheet["folder"].endswith("old_knight")


def test_show_of_an_unknown_persona_is_one_sentence(run: Command) -> None:
    outcome = run("personas", "show", "old_night")
    assert outcome.code == 1
    assert outcome.err.startswith("error: there is no persona 'old_night'; did you mean 'old_knight'?")


def test_shipped_personas_are_valid(run: Command) -> None:
    outcome = run("personas", "validate", "--json")
    report = json.loads(outcome.out)
    assert (outcome.code, [entry["problems"] for entry in report]) == (0, [[]] * len(report))


def test_validate_names_file_and_line_of_what_is_wrong(run: Command, tmp_path: Path) -> None:
    folder = copy_of(tmp_path, "old_knight", "forest_elf")
    with (folder / "forest_elf" / "dialogue.jsonl").open("a", encoding="utf-8") as file:
        file.write("not json\n")
    number = len((folder / "forest_elf" / "dialogue.jsonl").read_text("utf-8").splitlines())
    outcome = run("personas", "validate", "--personas", str(folder))
    assert outcome.code == 1
    assert "✓ old_knight" in outcome.out
    assert f"✗ forest_elf\n  dialogue.jsonl:{number}: not valid JSON" in outcome.out
    assert outcome.err == "error: 1 of 2 personas cannot be used as written\n"


def test_validate_takes_the_path_of_a_folder(run: Command, tmp_path: Path) -> None:
    folder = copy_of(tmp_path, "old_knight")
    (entry,) = json.loads(run("personas", "validate", str(folder / "old_knight"), "--json").out)
    assert (entry["id"], entry["valid"]) == ("old_knight", True)
    outcome = run("personas", "validate", str(tmp_path / "nowhere"))
    assert (outcome.code, outcome.err) == (1, f"error: {tmp_path / 'nowhere'} has no persona.toml\n")


def test_watch_tells_what_is_there_and_what_changes_until_the_daemon_goes(run: Command, town: ScriptedTown) -> None:
    outcome = run("personas", "watch", "forest_elf", "--address", town.address)
    assert outcome.out.splitlines() == [
        "forest_elf is there",
        "watching; Ctrl-C ends it",
        "nun has changed",
        "  persona.toml:3: [name] is empty",
        "nun is gone",
    ]
    assert (outcome.code, outcome.err) == (1, "error: the daemon has shut down\n")


def test_watch_prints_one_json_object_a_line(run: Command, town: ScriptedTown) -> None:
    lines = run("personas", "watch", "--address", town.address, "--json").out.splitlines()
    assert [json.loads(line)["change"] for line in lines] == ["existing", "existing", "synced", "changed", "removed"]
    assert json.loads(lines[-1])["persona"]["id"] == "nun"


def test_watch_without_a_daemon_is_one_sentence(run: Command) -> None:
    assert run("personas", "watch").err == "error: no daemon is running; `townsfolk serve` starts one\n"
