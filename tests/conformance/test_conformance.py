"""Every client, held to the same conversations with a real daemon: same script, same expected events."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.clients import CLIENTS
from tests.conformance.conftest import GetClient, StartTown
from tests.conformance.conversation import all_conversations, read_conversation
from tests.conformance.play import Play


@pytest.mark.parametrize("path", all_conversations(), ids=lambda path: path.stem)
@pytest.mark.parametrize("client", CLIENTS)
def test_conversation(client: str, path: Path, get_client: GetClient, start_town: StartTown) -> None:
    conversation = read_conversation(path)
    runner = get_client(client)
    Play(conversation, runner, start_town(conversation)).run()
