"""How the built client finds its daemon, launches it, and gets over its loss: games as processes, a real daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conformance.client_process import CONNECTION, ClientProcess, Reported
from tests.native.native_client import (
    COMMAND,
    PATIENCE_S,
    REPOSITORY,
    SCRIPTED_DAEMON,
    alive,
    compiled,
    lay_out_model,
    soon,
)
from townsfolk.cli.state import read_state, state_file

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="these tests use POSIX signals")

IDLE_S = 1.0
LONGER_THAN_A_PAUSE_S = 3.0  # between two tries to find the daemon
SAVED_AFTER_S = 1.0  # a session is saved a moment after each of its lines
PERSONA = "dwarf_smith"


class Game:
    """A process with one client."""

    def __init__(self, program: Path) -> None:
        self._client = ClientProcess([str(program)], os.environ)
        self._count = 0

    def connect(self, **options: object) -> None:
        self._client.send("connect", options)

    def wait_until(self, state: str, times: int = 1) -> list[Reported]:
        """All connection events, once it has been told ``times`` that the connection is in this state."""
        return self._client.wait(
            CONNECTION,
            lambda events: [event.text("state") for event in events].count(state) >= times,
            f"connection {state}",
        )

    def begin(self, command: str, **fields: object) -> str:
        """Make a request. Returns its label."""
        self._count += 1
        label = f"request {self._count}"
        self._client.send(command, {"as": label, **fields})
        return label

    def wait_for(self, kind: str, label: str) -> None:
        self._client.wait(label, lambda events: any(event.kind == kind for event in events), kind)

    def end_of(self, label: str) -> list[Reported]:
        """The events of a request, once it has ended."""
        return self._client.wait(label, lambda events: bool(events) and events[-1].last, "the end")

    def ask(self, command: str, **fields: object) -> list[Reported]:
        return self.end_of(self.begin(command, **fields))

    def open_session(self, session: str) -> None:
        (opened,) = self.ask("open_session", session=session, persona=PERSONA)
        assert opened.kind == "session_opened", opened

    def say(self, text: str, session: str | None = None) -> list[Reported]:
        return self.ask("say", session=session, persona=PERSONA, text=text)

    def hear(self, text: str, session: str | None = None) -> str:
        """The whole answer to a line."""
        finished = self.say(text, session)[-1]
        assert finished.kind == "finished", finished
        return finished.text()

    def close(self) -> None:
        """Close the client; the process stays."""
        self.ask("close")

    def quit(self) -> None:
        self._client.stop()


class Town:
    """The games and daemons of one test."""

    def __init__(self, program: Path, starts: Path) -> None:
        self._program = program
        self._starts = starts
        self._games: list[Game] = []

    def game(self) -> Game:
        self._games.append(Game(self._program))
        return self._games[-1]

    def launching_game(self) -> Game:
        game = self.game()
        game.connect(launch=True, launch_folder=REPOSITORY)
        return game

    def daemons(self) -> list[int]:
        """Process ids of all daemons that were ever started."""
        return [int(pid) for pid in self._starts.read_text("utf-8").split()] if self._starts.exists() else []

    def end(self) -> None:
        for game in self._games:
            game.quit()
        for pid in self.daemons():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runner = REPOSITORY / "tests" / "conformance" / "cpp" / "runner.cpp"
    return compiled(tmp_path_factory.mktemp("game") / "game", runner)


@pytest.fixture
def town(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    for name in ("TOWNSFOLK_ADDRESS", "TOWNSFOLK_TOKEN", "TOWNSFOLK_LAUNCH_TIMEOUT_S"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOWNSFOLK_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TOWNSFOLK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TOWNSFOLK_COMMAND", COMMAND)
    monkeypatch.setenv("TOWNSFOLK_TEST_STARTS", str(tmp_path / "starts"))
    lay_out_model()
    town = Town(program, tmp_path / "starts")
    yield town
    town.end()


def test_launched_daemon_serves_the_client_that_wanted_it(town: Town) -> None:
    game = town.launching_game()
    states = [event.text("state") for event in game.wait_until("ready")]
    assert states == ["connecting", "launching", "ready"]
    assert len(town.daemons()) == 1
    events = game.say("Good day.")
    assert [event.kind for event in events if event.kind != "speech_delta"] == ["started", "finished"]
    spoken = "".join(event.text() for event in events if event.kind == "speech_delta")
    assert spoken == events[-1].text() == "Well met."


def test_daemon_that_is_killed_is_launched_again_and_remembers(town: Town) -> None:
    game = town.launching_game()
    game.wait_until("ready")
    game.open_session("market")
    game.open_session("silent")
    game.hear("My name is Ada.", "market")
    time.sleep(SAVED_AFTER_S)
    os.kill(town.daemons()[0], signal.SIGKILL)
    states = [event.text("state") for event in game.wait_until("ready", times=2)]
    assert "lost" in states
    assert len(town.daemons()) == 2
    assert game.hear("What have I told you?", "market") == "My name is Ada."
    assert game.hear("What have I told you?", "silent") == "Nothing."


def test_session_that_is_closed_stays_closed_when_the_daemon_is_launched_again(town: Town) -> None:
    game = town.launching_game()
    game.wait_until("ready")
    game.open_session("market")
    game.hear("My name is Ada.", "market")
    time.sleep(SAVED_AFTER_S)
    game.ask("close_session", session="market")
    os.kill(town.daemons()[0], signal.SIGKILL)
    game.wait_until("ready", times=2)
    assert game.say("Hello again.", "market")[-1].text("status") == "NOT_FOUND"


def test_line_asked_for_while_the_daemon_is_gone_is_spoken_by_the_next(town: Town) -> None:
    game = town.launching_game()
    game.wait_until("ready")
    os.kill(town.daemons()[0], signal.SIGKILL)
    game.wait_until("lost")
    assert game.hear("Is anybody there?") == "Well met."
    assert len(town.daemons()) == 2


def test_line_that_breaks_off_in_a_killed_daemon_ends_with_an_error(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_TOKEN_S", "0.5")
    game = town.launching_game()
    game.wait_until("ready")
    line = game.begin("say", persona=PERSONA, text="Good day.")
    game.wait_for("speech_delta", line)
    os.kill(town.daemons()[0], signal.SIGKILL)
    events = game.end_of(line)
    assert (events[-1].kind, events[-1].text("status")) == ("error", "UNAVAILABLE")
    assert [event.last for event in events].count(True) == 1
    game.wait_until("ready", times=2)


def test_two_games_share_one_daemon_and_one_outlives_the_other(town: Town) -> None:
    games = [town.launching_game() for _ in range(2)]
    for game in games:
        game.wait_until("ready")
    assert len(town.daemons()) == 1
    assert [game.hear("Good day.") for game in games] == ["Well met."] * 2
    games[0].quit()
    assert games[1].hear("Still there?") == "Well met."


def test_two_games_that_lose_their_daemon_launch_one_and_keep_their_sessions(town: Town) -> None:
    games = [town.launching_game() for _ in range(2)]
    for number, game in enumerate(games):
        game.wait_until("ready")
        game.open_session(f"session-{number}")
        game.hear(f"I am player {number}.", f"session-{number}")
    time.sleep(SAVED_AFTER_S)
    os.kill(town.daemons()[0], signal.SIGKILL)
    for number, game in enumerate(games):
        game.wait_until("ready", times=2)
        assert game.hear("What have I told you?", f"session-{number}") == f"I am player {number}."
    assert len(town.daemons()) == 2


def test_daemon_leaves_when_all_games_have_quit(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_IDLE_S", str(IDLE_S))
    games = [town.launching_game() for _ in range(2)]
    for game in games:
        game.wait_until("ready")
    (daemon,) = town.daemons()
    games[0].quit()
    time.sleep(3 * IDLE_S)
    assert alive(daemon)
    games[1].quit()
    assert soon(lambda: not alive(daemon))
    assert not state_file().exists()


def test_daemon_stays_between_two_clients_of_the_game_that_launched_it(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_IDLE_S", str(IDLE_S))
    game = town.launching_game()
    game.wait_until("ready")
    game.close()
    time.sleep(3 * IDLE_S)
    game.connect(launch=True, launch_folder=REPOSITORY)
    game.wait_until("ready", times=2)
    assert len(town.daemons()) == 1


def test_announced_daemon_is_found_with_its_token(town: Town, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("open-sesame-and-close-it-again", "utf-8")
    token_file.chmod(0o600)
    options = ["serve", "--address", "127.0.0.1:0", "--token-file", str(token_file)]
    with (tmp_path / "log").open("wb") as log:
        by_hand = subprocess.Popen(
            [sys.executable, str(SCRIPTED_DAEMON), *options], stdout=log, stderr=log, cwd=REPOSITORY
        )
    try:
        assert soon(lambda: (state := read_state()) is not None and state.phase == "serving")
        game = town.game()
        game.connect()
        game.wait_until("ready")
        assert game.hear("Good day.") == "Well met."
        assert town.daemons() == [by_hand.pid]
    finally:
        by_hand.kill()
        by_hand.wait(PATIENCE_S)


def test_client_that_may_not_launch_waits_for_a_daemon(town: Town) -> None:
    waiting = town.game()
    waiting.connect()
    assert "townsfolk serve" in waiting.wait_until("lost")[-1].text()
    assert town.daemons() == []
    town.launching_game().wait_until("ready")
    waiting.wait_until("ready")
    assert waiting.hear("Good day.") == "Well met."
    assert len(town.daemons()) == 1


def test_daemon_that_cannot_start_is_told_with_its_reason(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_LOAD_ERROR", "the GPU is too small für dieses Modell")
    game = town.launching_game()
    (failed,) = [event for event in game.wait_until("failed") if event.text("state") == "failed"]
    assert "the GPU is too small für dieses Modell" in failed.text()
    error = game.say("Good day.")[-1]
    assert (error.kind, error.text("status")) == ("error", "FAILED_PRECONDITION")


@pytest.mark.real_model
@pytest.mark.usefixtures("real_model_path")
def test_three_characters_of_the_real_model_answer_a_game_that_launched_it(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOWNSFOLK_CACHE_DIR")
    monkeypatch.setenv("TOWNSFOLK_COMMAND", f'"{sys.executable}" -m townsfolk.cli')
    game = town.launching_game()
    game.wait_until("ready")
    state = read_state()
    assert state is not None
    try:
        personas = ("dwarf_smith", "forest_elf", "old_knight")
        lines = [game.begin("say", persona=persona, text="Who are you?") for persona in personas]
        said = [game.end_of(line) for line in lines]
        assert [events[-1].kind for events in said] == ["finished"] * 3
        for events in said:
            spoken = "".join(event.text() for event in events if event.kind == "speech_delta")
            assert len(spoken.split()) >= 3
            assert spoken == events[-1].text()
        assert len({events[-1].text() for events in said}) == 3
    finally:
        os.kill(state.pid, signal.SIGKILL)


def test_daemon_that_crashes_as_soon_as_it_serves_is_given_up_after_five_times(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWNSFOLK_TEST_CRASH_S", "0.3")
    game = town.launching_game()
    events = game.wait_until("failed")
    assert "lost 5 times in a row" in events[-1].text()
    assert "the machine is on fire" in events[-1].text()
    assert len(town.daemons()) == 5
    error = game.say("Good day.")[-1]
    assert (error.kind, error.text("status")) == ("error", "UNAVAILABLE")
    time.sleep(LONGER_THAN_A_PAUSE_S)
    assert len(town.daemons()) == 5, "nothing is launched after that"


def test_daemon_that_crashes_now_and_then_is_launched_again(town: Town) -> None:
    game = town.launching_game()
    for times in range(1, 5):  # four quick deaths are one fewer than too many
        game.wait_until("ready", times=times)
        os.kill(town.daemons()[-1], signal.SIGKILL)
    states = [event.text("state") for event in game.wait_until("ready", times=5)]
    assert "failed" not in states
    assert game.hear("Good day.") == "Well met."
