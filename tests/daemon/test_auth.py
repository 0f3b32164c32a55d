"""The token: needed by every service but health."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.daemon.conftest import StartTown, spoken
from tests.fakes import ScriptedEngine
from townsfolk.config import DaemonSettings, Settings
from townsfolk.daemon.auth import read_token
from townsfolk.daemon.server import SERVICES, Daemon
from townsfolk.errors import InvalidArgument
from townsfolk.v1 import (
    console_pb2,
    daemon_pb2,
    dialogue_pb2,
    persona_pb2,
    preview_pb2,
    session_pb2,
    story_pb2,
)

MODULES = (console_pb2, daemon_pb2, dialogue_pb2, persona_pb2, preview_pb2, session_pb2, story_pb2)
METHODS = [
    (f"/{service.full_name}/{method.name}", method.client_streaming, method.server_streaming)
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
METHODS.append(("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", True, True))


async def call(channel: grpc.aio.Channel, path: str, up: bool, down: bool, metadata: Any) -> grpc.StatusCode:
    """Call a method with an empty message, whatever its kind; returns its status."""
    make = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }[up, down]
    method: Any = make(path, request_serializer=None, response_deserializer=None)
    running = method(metadata=metadata) if up else method(b"", metadata=metadata)
    try:
        if up:
            await running.done_writing()
        if down:
            await running.read()
            running.cancel()  # some streams have no end
        else:
            await running
    except grpc.aio.AioRpcError:
        pass
    return await running.code()  # type: ignore[no-any-return]


def test_the_test_knows_every_service() -> None:
    assert {path.split("/")[1] for path, _, _ in METHODS} >= set(SERVICES)


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "secret"),),
        (("authorization", "Bearer wrong"),),
        (("authorization", "Bearer "),),
        (("authorization", "Basic secret"),),
        (("token", "secret"),),
    ],
)
async def test_every_method_but_health_wants_the_token(start_town: StartTown, metadata: Any) -> None:
    town = await start_town(token="secret")
    for path, up, down in METHODS:
        code = await call(town.channel, path, up, down, metadata)
        assert code == grpc.StatusCode.UNAUTHENTICATED, path
    health = await HealthStub(town.channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_right_token_opens_every_method(start_town: StartTown) -> None:
    town = await start_town(token="secret")
    for path, up, down in METHODS:
        code = await call(town.channel, path, up, down, (("authorization", "Bearer secret"),))
        assert code != grpc.StatusCode.UNAUTHENTICATED, path
    request = dialogue_pb2.SayRequest(persona_id="smith", text="Hi.")
    saying = town.dialogue.Say(request, metadata=(("authorization", "bearer secret"),))
    assert spoken([response.event async for response in saying]) == "Aye."


async def test_an_open_address_without_tls_and_token_is_refused() -> None:
    settings = Settings(daemon=DaemonSettings.model_validate({"address": "0.0.0.0:0"}))
    with pytest.raises(InvalidArgument, match=r"TLS .* and a token"):
        Daemon(settings, ScriptedEngine())


def test_the_token_comes_from_a_file_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert read_token(DaemonSettings.model_validate({"token_file": tmp_path / "token"})) == "secret"


def test_a_useless_token_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "token").write_text("secret")
    for settings in (
        DaemonSettings.model_validate({"token_file": tmp_path / "missing"}),
        DaemonSettings.model_validate({"token_file": tmp_path / "empty"}),
        DaemonSettings.model_validate({"token_file": tmp_path / "token", "token": "another"}),
    ):
        with pytest.raises(InvalidArgument) as raised:
            read_token(settings)
        assert raised.value.field == "daemon.token_file"
