"""`doctor` says which engine is chosen, why, and what it can do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.engine.embedded.tiny_models import write_model
from tests.engine.tensorrt_llm.doubled import doubled


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model("llama2", tmp_path_factory.mktemp("doctor") / "tiny"))


def test_the_chosen_engine_and_its_reasons_are_shown(run: Command, model: str) -> None:
    outcome = run("doctor", "--engine", "embedded", "--model", model)
    assert outcome.code == 0
    assert "embedded" in outcome.out
    assert "engine.kind asks for it" in outcome.out
    assert "● likelihoods of tokens" in outcome.out


def test_without_a_model_doctor_still_answers(run: Command) -> None:
    outcome = run("doctor", "--json")
    assert outcome.code == 0
    report = json.loads(outcome.out)
    assert report["model"] is None
    assert report["engine"] == "embedded"
    assert any("tensorrt_llm" in reason for reason in report["reasons"])


def test_an_unknown_model_is_a_sentence(run: Command) -> None:
    outcome = run("doctor", "--model", "no-such-model")
    assert outcome.code == 1
    assert outcome.err.startswith("error: no-such-model is neither a file nor a known model")


def test_tensorrt_llm_that_is_not_there_is_said_and_fails(run: Command, model: str) -> None:
    outcome = run("doctor", "--engine", "tensorrt_llm", "--model", model)
    assert outcome.code == 1
    assert "✗ it is not installed" in outcome.out
    assert "○ adapters stronger or weaker than trained" in outcome.out


def test_servers_are_listed_with_what_their_lines_are_drawn_without(run: Command, tmp_path: Path) -> None:
    more = tmp_path / "endpoints.toml"
    more.write_text('[[endpoints]]\nurl = "http://127.0.0.1:2"\nserver = "llama_cpp"\n', "utf-8")
    config = tmp_path / "townsfolk.toml"
    config.write_text(
        f"[engine]\nkind = 'remote'\n[engine.remote]\nendpoints_file = '{more}'\n"
        "[[engine.remote.endpoints]]\nurl = 'http://127.0.0.1:1'\nserver = 'lorax'\n",
        "utf-8",
    )
    shown = run("doctor", "--config", str(config)).out
    assert "\n  http://127.0.0.1:1 (lorax), draws lines without min_p\n  http://127.0.0.1:2 (llama_cpp)\n" in shown
    assert "● adapters stronger or weaker than trained" in shown  # by llama.cpp's server alone
    report = json.loads(run("doctor", "--config", str(config), "--json").out)
    assert [server["draws_by_min_p"] for server in report["servers"]] == [False, True]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TensorRT-LLM is for Linux")
def test_an_installed_tensorrt_llm_is_compared_with_the_contract(model: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "townsfolk.cli", "doctor", "--engine", "tensorrt_llm", "--model", model]
    with doubled():
        fine = subprocess.run(command, capture_output=True, text=True, env=os.environ.copy(), check=False)
        report = subprocess.run(
            [*command, "--json"], capture_output=True, text=True, env=os.environ.copy(), check=False
        )
    assert fine.returncode == 0, fine.stdout + fine.stderr
    assert "✓ its API is as recorded" in fine.stdout
    assert "RTX 4070" in fine.stdout
    found = json.loads(report.stdout)["tensorrt_llm"]
    assert (found["installed"], found["works"], found["differences"]) == ("1.2.0", True, [])
