"""`voices` with the real model and the shipped characters: one notice in three voices, decoded in shared steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import REPOSITORY, Command
from tests.cli.threaded_daemon import DaemonThread, settings_for
from townsfolk.engine.process import EngineProcess

pytestmark = [pytest.mark.slow, pytest.mark.real_model]

NOTICE = """The gates close at dusk tomorrow. — Die Tore schließen bei Dämmerung.

Nobody may leave with a lantern lit."""


def test_one_notice_in_three_voices_shares_its_steps(run: Command, real_model_path: Path, tmp_path: Path) -> None:
    settings = settings_for(REPOSITORY / "personas", engine={"model": real_model_path})
    notice, path = tmp_path / "Anschlag für alle.md", tmp_path / "voices.json"
    notice.write_text(NOTICE, "utf-8")
    with DaemonThread(settings, EngineProcess(settings.engine)) as daemon:
        outcome = run(
            "voices", str(notice), "--adapters", "court_herald,dwarf_smith,forest_elf", "--seed", "11",
            "--max-tokens", "32", "--compare", "--out", str(path), "--address", daemon.address,
        )  # fmt: skip
    assert outcome.code == 0, outcome.err
    report = json.loads(path.read_text("utf-8"))
    (part,) = report["parts"]
    voices = part["voices"]
    assert part["text"] == NOTICE
    assert len({voice["text"] for voice in voices}) == 3, "each adapter has its own voice"
    assert len({voice["adapter_digest"] for voice in voices} - {""}) == 3
    assert max(voice["stats"]["max_batch_adapters"] for voice in voices) >= 2
    assert all(voice["stats"]["shared_steps"] > 0 for voice in voices)
    assert report["steps"]["together"] < report["steps"]["in_turn"]
    assert report["measured"]["one_after_another_s"] > 0
    assert report["measured"]["differing"] == [], "a voice says the same alone and beside others"
