"""How games find and launch the daemon, as processes of their own beside the real `townsfolk serve`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.native.native_client import PATIENCE_S, alive, lay_out_model, soon
from townsfolk.cli.launch import find_or_start
from townsfolk.cli.state import log_file, make_state_dir, read_state, starting_lock, state_file
from townsfolk.cli.terminal import error_console
from townsfolk.models import DEFAULT_MODEL
from townsfolk.v1.daemon_pb2 import GetStatsRequest
from townsfolk.v1.daemon_pb2_grpc import DaemonServiceStub

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the tests of launching use POSIX signals")

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).parent / "launch"
SCRIPTED_DAEMON = SOURCES / "scripted_daemon.py"
IDLE_S = 0.5
LONGER_THAN_IDLE_S = 4 * IDLE_S


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder with the built test programs. Skips where they cannot be built, fails if that is not allowed."""
    build = REPOSITORY / "build" / "native" / "launch"
    if missing := [tool for tool in ("cmake", "c++") if shutil.which(tool) is None]:
        _cannot_build(f"{' and '.join(missing)} missing")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    configured = _run("cmake", "-S", str(SOURCES), "-B", str(build), *generator)
    if configured.returncode:
        _cannot_build(f"cmake finds not all it needs: {configured.stderr.strip()[-800:]}")
    built = _run("cmake", "--build", str(build), "--parallel", "2")
    assert built.returncode == 0, built.stdout + built.stderr
    return build


def _run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, **options)


def _cannot_build(reason: str) -> None:
    sentence = f"the native client cannot be built here: {reason}"
    if os.environ.get("TOWNSFOLK_REQUIRE_NATIVE") == "1":
        pytest.fail(sentence)
    pytest.skip(sentence)


class Game:
    """A process that wants a daemon, and lives until it is told to quit."""

    def __init__(self, programs: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [programs / "small_game", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def outcome(self) -> dict[str, Any]:
        """What its launch came to: address, token and pid, or an error."""
        assert self.process.stdout is not None
        outcome: dict[str, Any] = json.loads(self.process.stdout.readline())
        return outcome

    def quit(self) -> None:
        if self.process.stdin is not None and self.process.stdout is not None:
            self.process.stdin.close()
            self.process.wait(PATIENCE_S)
            self.process.stdout.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)


class Town:
    """Games and daemons of one test, with a state folder of their own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self.starts = folder / "starts"
        self.games: list[Game] = []

    def game(self, *options: str) -> Game:
        self.games.append(Game(self.programs, *options))
        return self.games[-1]

    def started(self) -> list[int]:
        """Process ids of all daemons that were ever started."""
        return [int(pid) for pid in self.starts.read_text("utf-8").split()] if self.starts.exists() else []

    def end(self) -> None:
        for game in self.games:
            with suppress(ProcessLookupError):
                game.kill()
            for pipe in (game.process.stdin, game.process.stdout):
                if pipe is not None:
                    pipe.close()
        for pid in self.started():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def town(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    for name in ("TOWNSFOLK_ADDRESS", "TOWNSFOLK_TOKEN", "TOWNSFOLK_LAUNCH_TIMEOUT_S"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOWNSFOLK_STATE_DIR", str(tmp_path / "Zustand für alle 雪"))
    monkeypatch.setenv("TOWNSFOLK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TOWNSFOLK_COMMAND", f'"{sys.executable}" "{SCRIPTED_DAEMON}"')
    monkeypatch.setenv("TOWNSFOLK_TEST_STARTS", str(tmp_path / "starts"))
    lay_out_model()
    town = Town(programs, tmp_path)
    yield town
    town.end()


def stats(outcome: dict[str, Any], token: str | None = None) -> Any:
    """A call with the token that a launch has returned, or with another one."""
    metadata = (("authorization", f"Bearer {outcome['token'] if token is None else token}"),)
    with grpc.insecure_channel(outcome["address"]) as channel:
        return DaemonServiceStub(channel).GetStats(GetStatsRequest(), metadata=metadata, timeout=PATIENCE_S)


def test_parts_of_the_launcher_keep_their_promises(programs: Path) -> None:
    ran = _run(str(programs / "launch_tests"), "--gtest_brief=1")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_eight_games_at_once_share_one_daemon(town: Town) -> None:
    games = [town.game() for _ in range(8)]
    outcomes = [game.outcome() for game in games]
    assert [outcome["error"] for outcome in outcomes] == [""] * 8
    assert town.started() == [outcomes[0]["pid"]]
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert stats(outcomes[0]).engine.ready


def test_launched_daemon_answers_only_with_the_token_that_only_its_user_can_read(town: Town) -> None:
    outcome = town.game().outcome()
    assert len(outcome["token"]) == 64
    assert stats(outcome).town.personas > 0
    for wrong in ("", "open sesame"):
        with pytest.raises(grpc.RpcError) as raised:
            stats(outcome, wrong)
        assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
    folder = state_file().parent
    assert folder.stat().st_mode & 0o777 == 0o700
    for file in folder.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_game_killed_right_after_it_started_the_daemon_leaves_it_to_the_next(town: Town) -> None:
    first = town.game()
    assert soon(lambda: bool(town.started()))
    first.kill()
    outcome = town.game().outcome()
    assert [outcome["pid"]] == town.started()


def test_game_killed_while_the_model_loads_leaves_the_daemon_to_the_next(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_LOAD_S", "2")
    first = town.game()
    assert soon(lambda: (state := read_state()) is not None and state.phase == "loading")
    first.kill()
    outcome = town.game().outcome()
    assert [outcome["pid"]] == town.started()
    assert stats(outcome).engine.ready


def test_game_that_gives_up_leaves_the_daemon_to_the_next(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_LOAD_S", "2")
    assert town.game("--stop-after", "0.2").outcome() == {"error": "", "cancelled": True}
    outcome = town.game().outcome()
    assert [outcome["pid"]] == town.started()


def test_killed_daemon_is_replaced_at_once(town: Town) -> None:
    game = town.game()  # stays, and does not notice that its child has ended
    first = game.outcome()
    os.kill(first["pid"], signal.SIGKILL)
    assert soon(lambda: not alive(first["pid"]))
    assert state_file().exists()
    second = town.game().outcome()
    assert second["error"] == ""
    assert town.started() == [first["pid"], second["pid"]]
    assert stats(second).engine.ready


def test_daemon_killed_while_it_loads_is_an_error_with_the_place_of_its_log(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_LOAD_S", "60")
    game = town.game()
    assert soon(lambda: read_state() is not None)
    os.kill(town.started()[0], signal.SIGKILL)
    error = game.outcome()["error"]
    assert error.startswith("the daemon did not start: ")
    assert str(log_file()) in error


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"address": "127.0.0.1:1", "pid": 1}'])
def test_announcement_of_no_daemon_is_passed_over(town: Town, content: bytes) -> None:
    make_state_dir()
    state_file().write_bytes(content)
    outcome = town.game().outcome()
    assert outcome["error"] == ""
    assert [outcome["pid"]] == town.started()


def test_daemon_without_a_model_says_how_to_get_one(town: Town) -> None:
    DEFAULT_MODEL.path.unlink()
    error = town.game().outcome()["error"]
    assert error.startswith("the daemon did not start: ")
    assert "run `townsfolk models pull`" in error


def test_daemon_whose_model_cannot_be_loaded_is_quoted(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_LOAD_ERROR", "the GPU is too small für dieses Modell")
    error = town.game().outcome()["error"]
    assert error.startswith("the daemon did not start: the GPU is too small für dieses Modell (log: ")
    assert not state_file().exists()


def test_silent_client_keeps_the_daemon_that_another_game_launched(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_IDLE_S", str(IDLE_S))
    editor = town.game()
    launched = editor.outcome()
    with grpc.insecure_channel(launched["address"]) as channel:
        watch = HealthStub(channel).Watch(HealthCheckRequest())
        next(watch)
        editor.quit()
        time.sleep(LONGER_THAN_IDLE_S)
        assert alive(launched["pid"])
        watch.cancel()
    assert soon(lambda: not alive(launched["pid"]))
    assert not state_file().exists()


def test_game_that_lives_keeps_its_daemon_between_two_connections(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_IDLE_S", str(IDLE_S))
    game = town.game()
    launched = game.outcome()
    time.sleep(LONGER_THAN_IDLE_S)
    assert alive(launched["pid"])
    game.quit()
    assert soon(lambda: not alive(launched["pid"]))
    assert not state_file().exists()


def test_killed_game_leaves_no_daemon(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_IDLE_S", str(IDLE_S))
    game = town.game()
    launched = game.outcome()
    game.kill()
    assert soon(lambda: not alive(launched["pid"]))
    assert not state_file().exists()


def test_game_killed_while_the_model_loads_leaves_no_daemon(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_IDLE_S", str(IDLE_S))
    monkeypatch.setenv("TOWNSFOLK_TEST_LOAD_S", "1")
    game = town.game()
    assert soon(lambda: read_state() is not None)
    (daemon,) = town.started()
    game.kill()
    assert soon(lambda: not alive(daemon))


def test_game_waits_for_a_daemon_that_is_started_by_hand(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_LOAD_S", "2")
    with (state_file().parents[1] / "log").open("wb") as log:
        by_hand = subprocess.Popen(
            [sys.executable, str(SCRIPTED_DAEMON), "serve", "--address", "127.0.0.1:0"], stdout=log, stderr=log
        )
    assert soon(lambda: read_state() is not None)
    outcome = town.game().outcome()
    assert (outcome["error"], outcome["pid"], outcome["token"]) == ("", by_hand.pid, "")
    assert len(town.started()) == 1
    by_hand.kill()
    by_hand.wait(PATIENCE_S)


def test_daemon_that_stops_is_not_handed_out(town: Town) -> None:
    first = town.game().outcome()
    with grpc.insecure_channel(first["address"]) as channel:
        watch = HealthStub(channel).Watch(HealthCheckRequest())  # an open stream makes stopping take its time
        next(watch)
        os.kill(first["pid"], signal.SIGTERM)
        assert soon(lambda: (state := read_state()) is not None and state.phase == "stopping")
        second = town.game().outcome()
        watch.cancel()
    assert second["error"] == ""
    assert second["pid"] != first["pid"]
    assert stats(second).engine.ready


def test_commands_and_games_find_each_others_daemon(town: Town) -> None:
    outcome = town.game().outcome()
    target = asyncio.run(find_or_start(None, error_console()))
    assert (target.address, target.token) == (outcome["address"], outcome["token"])
    assert town.started() == [outcome["pid"]]


def test_game_waits_while_a_command_starts_a_daemon(town: Town) -> None:
    with starting_lock():
        game = town.game("--stop-after", "0.5")
        assert game.outcome() == {"error": "", "cancelled": True}
    assert town.started() == []
