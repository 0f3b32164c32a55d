"""The file by which commands find the daemon."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.scripted_town import ScriptedTown, scripted_town
from townsfolk.cli.client import parse_target, target_of
from townsfolk.cli.state import DaemonState, read_state, remove_state, state_file, write_state

NOBODY = 2**22 + 1  # above the largest process id of Linux


def announced(address: str, pid: int = NOBODY, token: str = "") -> DaemonState:
    state = DaemonState(address=address, pid=pid, version="0.1.0", started=1.0, token=token)
    write_state(state)
    return state


def test_state_is_read_as_written() -> None:
    state = announced("127.0.0.1:50551", token="open sesame")
    assert read_state() == state


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a user's folder to the user")
def test_state_is_for_its_owner_only() -> None:
    announced("127.0.0.1:50551")
    assert state_file().stat().st_mode & 0o777 == 0o600
    assert state_file().parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in state_file().parent.iterdir()] == ["daemon.json"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "7", '{"address": "a:1"}', '{"address": 1, "pid": 2, "version": "", "started": 0}', "\xff"],
)
def test_state_that_makes_no_sense_is_none(content: str) -> None:
    announced("127.0.0.1:50551")
    state_file().write_bytes(content.encode("latin-1"))
    assert read_state() is None


def test_daemon_takes_back_only_its_own_announcement() -> None:
    announced("127.0.0.1:50551", pid=11)
    remove_state(12)
    assert state_file().exists()
    remove_state(11)
    assert not state_file().exists()


def test_say_finds_the_announced_daemon_and_its_token(run: Command) -> None:
    with scripted_town(token="open sesame") as town:
        announced(town.address, token="open sesame")
        assert run("say", "old_knight", "hello").out == "Well met, good pilgrim.\n"
        assert run("say", "old_knight", "hello", "--address", town.address).code == 0


def test_daemon_that_died_is_passed_over(run: Command) -> None:
    announced("127.0.0.1:1")
    assert run("status").err == "error: no daemon is running; `townsfolk serve` starts one\n"


def test_stop_leaves_a_process_alone_that_is_no_daemon(run: Command) -> None:
    announced("127.0.0.1:1", pid=os.getpid())  # a stale file whose process id is somebody else's now
    assert run("stop").out == "no daemon is running\n"
    assert not state_file().exists()


def test_stop_without_a_daemon_says_so(run: Command) -> None:
    outcome = run("stop")
    assert (outcome.code, outcome.out) == (0, "no daemon is running\n")


@pytest.mark.parametrize(
    ("text", "address", "secure"),
    [
        ("127.0.0.1:50551", "127.0.0.1:50551", False),
        ("town.example", "town.example:50551", False),
        ("[::1]", "[::1]:50551", False),
        ("0.0.0.0:7000", "127.0.0.1:7000", False),
        ("https://town.example:443/", "town.example:443", True),
        ("unix:/run/town.sock", "unix:/run/town.sock", False),
    ],
)
def test_address_is_read(text: str, address: str, secure: bool) -> None:
    target = parse_target(text)
    assert (target.address, target.secure) == (address, secure)


def test_announced_certificate_makes_the_client_use_tls(tmp_path: Path) -> None:
    state = DaemonState("0.0.0.0:7000", 1, "0.1.0", 1.0, tls_certificate=str(tmp_path / "town.pem"))
    target = target_of(state)
    assert (target.address, target.secure, target.root_certificate) == ("127.0.0.1:7000", True, tmp_path / "town.pem")


def test_state_is_json_that_other_clients_can_read(town: ScriptedTown) -> None:
    announced(town.address)
    keys = {"address", "pid", "version", "started", "token", "tls_certificate", "folder", "phase"}
    assert set(json.loads(state_file().read_text("utf-8"))) == keys
