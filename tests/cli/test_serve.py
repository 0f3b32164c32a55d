"""Daemons in processes of their own, with an engine that speaks by script: start, find, share, stop."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import REPOSITORY, Command
from tests.fakes import ScriptedEngine, tiny_tokenizer_json
from townsfolk.cli import announced, launch
from townsfolk.cli.announced import AnnouncedDaemon
from townsfolk.cli.launch import find_or_start, spawn, wait_until_healthy
from townsfolk.cli.state import log_file, make_state_dir, read_state, state_file, write_state
from townsfolk.cli.terminal import error_console
from townsfolk.config import Settings
from townsfolk.errors import FailedPrecondition
from townsfolk.models import DEFAULT_MODEL

SCRIPTED = (sys.executable, str(REPOSITORY / "tests" / "cli" / "scripted_serve.py"))


@pytest.fixture(autouse=True)
def scripted_daemons(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every daemon started here speaks by script, on a port of its own, and is gone at the end."""
    monkeypatch.setattr(launch, "COMMAND", SCRIPTED)
    monkeypatch.setattr(launch, "_port_free", lambda port: False)
    DEFAULT_MODEL.path.parent.mkdir(parents=True)
    with DEFAULT_MODEL.path.open("wb") as file:
        file.truncate(DEFAULT_MODEL.size_bytes)  # sparse: only its size is looked at
    yield
    while launch.left_running:
        child = launch.left_running.pop()
        child.terminate()
        child.wait(10)


def test_say_starts_a_daemon_that_the_next_one_finds_and_stop_ends(run: Command) -> None:
    first = run("say", "old_knight", "Good evening.")
    assert (first.code, first.out) == (0, "Well met, good pilgrim.\n")
    state = read_state()
    assert state is not None
    assert run("say", "dwarf_smith", "And you?").out == "Well met, good pilgrim.\n"
    assert json.loads(run("status", "--json").out)["town"]["turns_finished"] == 2
    assert read_state() == state
    assert run("stop").out == f"stopped the daemon on {state.address}\n"
    assert not state_file().exists()
    assert "draining" in log_file().read_text("utf-8")


def test_two_commands_at_once_start_one_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(launch, "spawn", lambda *a, **k: started.append(spawn(*a, **k)) or started[-1])
    with ThreadPoolExecutor(2) as pool:
        targets = list(pool.map(lambda _: asyncio.run(find_or_start(None, error_console())), range(2)))
    assert targets[0] == targets[1]
    assert len(started) == 1


def test_unknown_persona_of_a_real_daemon_is_one_sentence(run: Command) -> None:
    outcome = run("say", "old_night", "hello")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: there is no persona 'old_night'; did you mean 'old_knight'?")
    assert len(outcome.err.splitlines()) == 1


def test_daemon_that_cannot_start_is_quoted(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "IDLE_S", -1)
    outcome = run("say", "old_knight", "hello")
    assert outcome.code == 1
    assert outcome.err.startswith("error: the daemon did not start: ")


@pytest.mark.parametrize("package", ["torch", "safetensors"])
def test_a_daemon_is_not_started_without_its_engine_s_packages(
    run: Command, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find_spec(name))
    needs = f"error: the embedded engine needs {package}; run `pip install 'townsfolk[embedded]'`"
    elsewhere = "or first start a daemon with another engine: `townsfolk serve --config FILE`"
    assert run("say", "old_knight", "hello").err == f"{needs}; {elsewhere}\n"
    assert run("demo").err == f"{needs}\n"
    assert not log_file().exists()


def test_a_daemon_whose_lines_are_made_elsewhere_asks_for_none_of_the_embedded_engine_s_packages(
    tmp_path: Path,
) -> None:
    model = tmp_path / "tiny"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 512}', "utf-8")
    (model / "tokenizer.json").write_text(tiny_tokenizer_json(), "utf-8")
    config = tmp_path / "townsfolk.toml"
    config.write_text(
        f"[engine]\nkind = 'remote'\nmodel = '{model}'\nstart_timeout_s = 0.1\n"
        "[[engine.remote.endpoints]]\nurl = 'http://127.0.0.1:9'\n",
        "utf-8",
    )
    hidden = "import sys; sys.modules |= dict.fromkeys(('torch', 'numpy', 'gguf', 'safetensors', 'llguidance'))"
    command = [sys.executable, "-c", f"{hidden}; from townsfolk.cli import main; main(sys.argv[1:])", "serve"]
    done = subprocess.run(
        [*command, "--config", str(config), "--address", "127.0.0.1:0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "error: no server of engine.remote came up within 0.1 s" in done.stderr


def test_daemon_in_the_foreground_stops_when_its_parent_lets_go() -> None:
    make_state_dir()
    with log_file().open("wb") as log:
        child = spawn(["--address", "127.0.0.1:0"], log)
    asyncio.run(wait_until_healthy(child, log_file(), error_console()))
    assert read_state().pid == child.pid
    child.stdin.close()
    assert child.wait(10) == 0
    assert not state_file().exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_interrupted_daemon_drains_and_takes_its_announcement_back() -> None:
    make_state_dir()
    with log_file().open("wb") as log:
        child = spawn(["--address", "127.0.0.1:0"], log)
    asyncio.run(wait_until_healthy(child, log_file(), error_console()))
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 0
    assert not state_file().exists()
    child.stdin.close()


def test_daemon_stays_while_its_parent_lives_and_leaves_after() -> None:
    make_state_dir()
    with log_file().open("wb") as log:
        child = subprocess.Popen(
            [*SCRIPTED, "serve", "--address", "127.0.0.1:0", "--exit-when-idle", "0.1", "--parent-holds-stdin"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    asyncio.run(wait_until_healthy(child, log_file(), error_console()))
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(1.0)
    child.stdin.close()
    assert child.wait(10) == 0
    assert "nobody called for 0.1 s" in log_file().read_text("utf-8")


def announced_phases(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    phases = []
    monkeypatch.setattr(announced, "write_state", lambda state: phases.append(state.phase) or write_state(state))
    return phases


def scripted_daemon(engine: ScriptedEngine) -> AnnouncedDaemon:
    return AnnouncedDaemon(Settings.model_validate({"daemon": {"address": "127.0.0.1:0", "drain_grace_s": 0}}), engine)


async def test_daemon_announces_that_it_loads_serves_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    phases, daemon = announced_phases(monkeypatch), scripted_daemon(ScriptedEngine())
    serving = asyncio.create_task(daemon.serve())
    while "serving" not in phases:
        await asyncio.sleep(0)
    assert read_state().address == daemon.address
    daemon.request_stop()
    await serving
    assert phases == ["loading", "serving", "stopping"]
    assert not state_file().exists()


async def test_daemon_that_cannot_load_takes_its_announcement_back(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ScriptedEngine()
    engine.fail_start = FailedPrecondition("no memory")
    phases = announced_phases(monkeypatch)
    with pytest.raises(FailedPrecondition):
        await scripted_daemon(engine).serve()
    assert phases == ["loading"]
    assert not state_file().exists()


async def test_daemon_that_stops_leaves_the_announcement_of_its_successor_alone() -> None:
    daemon = scripted_daemon(ScriptedEngine())
    await daemon.start()
    successor = replace(read_state(), pid=read_state().pid + 1)
    write_state(successor)
    await daemon.drain()
    await daemon.stop()
    assert read_state() == successor


def test_demo_brings_its_own_daemon_and_takes_it_away(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    children = []
    monkeypatch.setattr(launch, "spawn", lambda *a, **k: children.append(spawn(*a, **k)) or children[-1])
    outcome = run("demo", "--personas", "old_knight,dwarf_smith,forest_elf")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("] Well met, good pilgrim.\n") == 6
    assert "of 138 decode steps" in outcome.out  # six times 23 letters
    (child,) = children
    assert child.returncode == 0
    assert not state_file().exists()  # nobody else was told of it


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--address", "0.0.0.0:0"], "0.0.0.0:0 can be reached from other machines"),
        (["--address", "nowhere"], "daemon.address 'nowhere' is no address"),
        (["--config", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["--personas", "nowhere"], "personas.folders: nowhere is not a folder"),
        (["--model", "nowhere.gguf"], "nowhere.gguf is neither a file nor a known model"),
    ],
)
def test_serve_with_bad_settings_is_one_sentence(run: Command, options: list[str], sentence: str) -> None:
    outcome = run("serve", *options)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"error: {sentence}")
    assert len(outcome.err.splitlines()) == 1


def test_serve_without_a_model_says_how_to_get_one(run: Command) -> None:
    DEFAULT_MODEL.path.unlink()
    assert "run `townsfolk models pull`" in run("serve").err


def test_command_line_counts_more_than_the_config(tmp_path: Path, run: Command) -> None:
    config = tmp_path / "townsfolk.toml"
    config.write_text('[daemon]\naddress = "0.0.0.0:0"\nexit_when_idle_s = 0.2\n', "utf-8")
    done = subprocess.run(
        [*SCRIPTED, "serve", "--config", str(config), "--address", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert "Townsfolk 0.1.0 on 127.0.0.1:" in done.stderr
