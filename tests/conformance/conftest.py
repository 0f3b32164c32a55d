"""Fixtures of the conformance suite: clients that live as long as the tests do, daemons for one conversation each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.client_process import ClientProcess
from tests.conformance.clients import CLIENTS, Missing, Runner
from tests.conformance.conversation import Conversation
from tests.conformance.scripted_town import ScriptedTown, write_town

GetClient = Callable[[str], ClientProcess]
StartTown = Callable[[Conversation], ScriptedTown]


@pytest.fixture(scope="session")
def town_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The personas of all conversations."""
    return write_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="session")
def get_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GetClient]:
    """The running client of a name. Skips what cannot be built here, fails with TOWNSFOLK_REQUIRE_NATIVE=1."""
    runners: dict[str, Runner | Exception] = {}
    running: dict[str, ClientProcess] = {}

    def get(name: str) -> ClientProcess:
        if name not in runners:
            try:
                runners[name] = CLIENTS[name](tmp_path_factory.mktemp(name))
            except (Missing, AssertionError) as error:
                runners[name] = error
        runner = runners[name]
        if isinstance(runner, Missing) and os.environ.get("TOWNSFOLK_REQUIRE_NATIVE") != "1":
            pytest.skip(str(runner))
        if isinstance(runner, Exception):
            raise runner
        if name in running and not running[name].usable:
            running.pop(name).stop()
        if name not in running:
            running[name] = ClientProcess(runner.command, runner.environment)
        return running[name]

    yield get
    codes = {name: client.stop() for name, client in running.items() if client.usable}
    assert not any(codes.values()), f"runners that did not end well: {codes}"


@pytest.fixture
def start_town(town_folder: Path) -> Iterator[StartTown]:
    """Starts the daemon of a conversation, which is gone when the test is over."""
    towns: list[ScriptedTown] = []

    def start(conversation: Conversation) -> ScriptedTown:
        town = ScriptedTown(town_folder, conversation.replies, conversation.daemon, relay=conversation.relay)
        towns.append(town)
        town.start()
        return town

    yield start
    for town in towns:
        town.stop()
