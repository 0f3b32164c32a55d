"""What the client costs a game that draws sixty frames a second while a street full of characters talks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.native.native_client import REPOSITORY, SCRIPTED_DAEMON, compiled, lay_out_model
from townsfolk.cli.state import read_state

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the game loop reads the clock of its thread by POSIX")

HERE = Path(__file__).parent
CHARACTERS = 16
TALK_S = 5.0
TOKEN_S = 0.02
PATIENCE_S = 60.0
POLL_LIMIT_US = 1000.0  # of the polling thread's own time: what others take of a busy machine does not count
REPLY = "Three ships from the north, a rumour of war, and the price of herring is a scandal."

Figures = dict[str, Any]


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """What the game loop has measured, over a daemon that speaks at the pace of a model."""
    folder = tmp_path_factory.mktemp("game_loop")
    program = compiled(folder / "game_loop", HERE / "game_loop.cpp", HERE / "counted_allocations.cpp")
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("TOWNSFOLK_TOKEN", raising=False)
        environment.delenv("TOWNSFOLK_ADDRESS", raising=False)
        environment.setenv("TOWNSFOLK_STATE_DIR", str(folder / "state"))
        environment.setenv("TOWNSFOLK_CACHE_DIR", str(folder / "cache"))
        environment.setenv("TOWNSFOLK_TEST_STARTS", str(folder / "starts"))
        environment.setenv("TOWNSFOLK_TEST_REPLY", REPLY)
        environment.setenv("TOWNSFOLK_TEST_TOKEN_S", str(TOKEN_S))
        lay_out_model()
        daemon = subprocess.Popen(
            [sys.executable, str(SCRIPTED_DAEMON), "serve", "--address", "127.0.0.1:0"], cwd=REPOSITORY
        )
        try:
            assert soon(lambda: (state := read_state()) is not None and state.phase == "serving")
            played = subprocess.run(
                [program, str(CHARACTERS), str(TALK_S)], capture_output=True, text=True, timeout=120, check=False
            )
        finally:
            daemon.kill()
            daemon.wait(PATIENCE_S)
    assert played.returncode == 0, played.stderr
    print(played.stdout)
    return json.loads(played.stdout)


def soon(condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def test_all_characters_talk_without_an_error(figures: Figures) -> None:
    talking = figures["talking"]
    assert talking["most_talking"] == CHARACTERS
    assert talking["errors"] == 0
    assert talking["lines"] >= CHARACTERS
    assert talking["events"] > 10 * talking["lines"]


def test_no_poll_takes_longer_than_a_millisecond(figures: Figures) -> None:
    assert figures["talking"]["longest_poll_cpu_us"] <= POLL_LIMIT_US
    assert figures["idle"]["longest_poll_cpu_us"] <= POLL_LIMIT_US


def test_polling_allocates_nothing(figures: Figures) -> None:
    if not figures["counts_allocations"]:
        pytest.skip("allocations are counted with glibc only")
    assert figures["talking"]["say_allocations"] > 0, "the library's allocations are not counted"
    assert figures["idle"]["frames"] > 0
    assert figures["idle"]["events"] == 0
    assert figures["idle"]["poll_allocations"] == 0
    assert figures["talking"]["poll_allocations"] == 0
