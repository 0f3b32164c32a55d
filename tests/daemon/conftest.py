"""A daemon with a scripted engine on 127.0.0.1:0, and a real channel to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tests.fakes import ScriptedEngine, write_adapter, write_persona
from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon
from townsfolk.v1.common_pb2 import TurnEvent
from townsfolk.v1.daemon_pb2_grpc import DaemonServiceStub
from townsfolk.v1.dialogue_pb2 import SayRequest
from townsfolk.v1.dialogue_pb2_grpc import DialogueServiceStub
from townsfolk.v1.persona_pb2_grpc import PersonaServiceStub
from townsfolk.v1.session_pb2 import OpenRequest
from townsfolk.v1.session_pb2_grpc import SessionServiceStub

EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
PATIENCE_S = 5.0  # no test waits so long unless it fails


class Town:
    """A running daemon and the stubs to call it with."""

    def __init__(self, daemon: Daemon, engine: ScriptedEngine, channel: grpc.aio.Channel) -> None:
        self.daemon = daemon
        self.engine = engine
        self.channel = channel
        self.dialogue: Any = DialogueServiceStub(channel)
        self.sessions: Any = SessionServiceStub(channel)
        self.personas: Any = PersonaServiceStub(channel)
        self.stats: Any = DaemonServiceStub(channel)

    async def say(self, text: str = "Hello.", **fields: Any) -> list[TurnEvent]:
        """All events of one line."""
        request = SayRequest(text=text, **{"persona_id": "smith", **fields})
        async with asyncio.timeout(PATIENCE_S):
            return [response.event async for response in self.dialogue.Say(request)]

    async def open(self, *persona_ids: str, **fields: Any) -> str:
        """A session with these personas."""
        opened = await self.sessions.Open(OpenRequest(persona_ids=persona_ids, **fields))
        return str(opened.session_id)


StartTown = Callable[..., Awaitable[Town]]


@pytest.fixture
def persona_folder(tmp_path: Path) -> Path:
    """A smith and an elf with adapters, a monk without."""
    folder = tmp_path / "personas"
    for persona_id in ("smith", "elf"):
        write_adapter(write_persona(folder, persona_id), weights=persona_id.encode())
    write_persona(folder, "monk")
    return folder


@pytest_asyncio.fixture
async def start_town(persona_folder: Path) -> AsyncGenerator[StartTown, None]:
    """Starts daemons; keyword arguments are ``[daemon]`` settings. Lines whose stream broke are cancelled at once."""
    towns: list[Town] = []

    async def start(engine: ScriptedEngine | None = None, *, metadata: Any = (), **own: Any) -> Town:
        settings = Settings.model_validate(
            {
                "daemon": {"address": "127.0.0.1:0", "drain_grace_s": 0, "resume_grace_s": 0, **own},
                "personas": {"folders": [persona_folder]},
            }
        )
        engine = engine or ScriptedEngine()
        daemon = Daemon(settings, engine)
        await daemon.start()
        town = Town(daemon, engine, grpc.aio.insecure_channel(daemon.address))
        towns.append(town)
        return town

    yield start
    for town in towns:
        await town.channel.close(None)
        await town.daemon.stop()
        assert not town.engine.running, "a line was left in the engine"
        assert not town.daemon.runner.registry.running, "a turn was left in the daemon"


@pytest_asyncio.fixture
async def town(start_town: StartTown) -> Town:
    """A daemon with default settings."""
    return await start_town()


def spoken(events: list[TurnEvent]) -> str:
    """All deltas together."""
    return "".join(event.speech_delta.text for event in events)


def kinds(events: list[TurnEvent]) -> list[str]:
    """Which events came, deltas in a row as one."""
    names = [event.WhichOneof("event") or "" for event in events]
    return [name for i, name in enumerate(names) if i == 0 or name != names[i - 1]]


def trailers(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """The metadata that a failed call ended with."""
    items: Any = error.trailing_metadata() or ()
    return dict(items)


async def soon(awaitable: Awaitable[Any]) -> Any:
    """What is awaited, or a failed test."""
    return await asyncio.wait_for(awaitable, PATIENCE_S)
