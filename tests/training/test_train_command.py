from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.training.tiny_model import write_persona, write_tiny_model
from townsfolk.cli import app


@pytest.fixture
def town(tmp_path: Path) -> Path:
    write_tiny_model(tmp_path / "tiny")
    write_persona(tmp_path / "personas" / "tock")
    return tmp_path


def run(town: Path, *arguments: str, epochs: tuple[str, ...] = ("--epochs", "2")) -> Result:
    common = ["--personas", str(town / "personas"), "--model", str(town / "tiny"), "--threads", "1"]
    return CliRunner().invoke(app, ["train", *arguments, *common, *epochs, "--rank", "2"])


def test_plain_lines_tell_epochs_losses_and_the_place(town: Path) -> None:
    result = run(town, "tock")
    assert result.exit_code == 0, result.output
    epochs = re.findall(r"^epoch (\d)/2  loss [\d.]+  held-out [\d.]+ \(base [\d.]+\)", result.stdout, re.MULTILINE)
    assert epochs == ["1", "2"]
    assert "Captain Tock is trained." in result.stdout
    assert str(town / "personas" / "tock" / "adapters" / "tiny") in result.stdout


def test_json_is_one_object_and_nothing_else(town: Path) -> None:
    result = run(town, str(town / "personas" / "tock"), "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["persona"] == "tock"
    assert report["rank"] == 2
    assert report["bytes"] > 0


def test_an_adapter_that_is_up_to_date_is_trained_again_only_by_force(town: Path) -> None:
    weights = town / "personas" / "tock" / "adapters" / "tiny" / "adapter_model.safetensors"
    run(town, "tock")
    first = weights.stat().st_mtime_ns
    assert "up to date" in run(town, "tock").stdout
    assert weights.stat().st_mtime_ns == first
    assert "epoch 2/2" in run(town, "tock", "--force").stdout
    assert weights.stat().st_mtime_ns > first


def test_a_task_is_trained_like_a_character_for_the_epochs_it_asks_for(town: Path) -> None:
    path = town / "personas" / "tock" / "persona.toml"
    path.write_text('kind = "task"\n' + path.read_text("utf-8") + "\n[training]\nepochs = 4\n", "utf-8")
    result = run(town, "tock", epochs=())
    assert result.exit_code == 0, result.output
    assert "epoch 4/4" in result.stdout
    assert "epoch 2/2" in run(town, "tock").stdout  # an option goes first


def test_errors_are_one_sentence(town: Path) -> None:
    result = run(town, "nobody")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: there is no persona 'nobody' in ")
    (town / "personas" / "tock" / "dialogue.jsonl").write_text("{\n")
    result = run(town, "tock")
    assert result.exit_code == 1
    assert "dialogue.jsonl, line 1: not valid JSON" in result.stderr


def test_a_missing_extra_is_named(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    result = run(town, "tock")
    assert result.exit_code == 1
    assert "pip install 'townsfolk[train]'" in result.stderr


def test_an_interrupt_ends_with_130(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("townsfolk.training.persona_run.train_adapter", interrupt)
    result = run(town, "tock")
    assert result.exit_code == 130
    assert not (town / "personas" / "tock" / "adapters").exists()


def test_help_has_an_example_and_loads_no_torch() -> None:
    result = CliRunner().invoke(app, ["train", "--help"])
    assert "townsfolk train forest_elf" in result.stdout
    code = "import sys, townsfolk.cli; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
