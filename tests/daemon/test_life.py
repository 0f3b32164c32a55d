"""The daemon's life: start, health, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from tests.daemon.conftest import StartTown, Town, soon, spoken
from tests.fakes import Reply, ScriptedEngine
from townsfolk.config import Settings
from townsfolk.daemon.server import SERVICES, Daemon
from townsfolk.errors import FailedPrecondition, InvalidArgument, Unavailable
from townsfolk.v1.daemon_pb2 import GetStatsRequest

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def settings_for(folder: Path, **own: Any) -> Settings:
    return Settings.model_validate({"daemon": {"address": "127.0.0.1:0", **own}, "personas": {"folders": [folder]}})


async def test_every_service_is_serving_once_the_engine_is_ready(town: Town) -> None:
    stub = HealthStub(town.channel)
    for service in ("", *SERVICES):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == SERVING


async def test_health_follows_the_engine_down_and_up_again(town: Town) -> None:
    watch: Any = HealthStub(town.channel).Watch(health_pb2.HealthCheckRequest())
    assert (await soon(watch.read())).status == SERVING
    town.engine.die()
    assert (await soon(watch.read())).status == NOT_SERVING
    town.engine.come_back()
    assert (await soon(watch.read())).status == SERVING
    watch.cancel()


async def test_health_turns_first_when_the_daemon_drains(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script.append(Reply(hold=hold))
    watch: Any = HealthStub(town.channel).Watch(health_pb2.HealthCheckRequest())
    assert (await soon(watch.read())).status == SERVING
    saying = asyncio.create_task(town.say())
    await town.engine.line(0)
    draining = asyncio.create_task(town.daemon.drain())
    assert (await soon(watch.read())).status == NOT_SERVING
    await soon(draining)
    await saying
    watch.cancel()


async def test_draining_finishes_the_line_in_flight_and_refuses_new_ones(start_town: StartTown) -> None:
    hold = asyncio.Event()
    town = await start_town(ScriptedEngine([Reply("Last words.", hold=hold)]), drain_grace_s=60)
    saying = asyncio.create_task(town.say())
    await town.engine.line(0)
    draining = asyncio.create_task(town.daemon.drain())
    while not town.daemon.draining:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await town.say(persona_id="elf")
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "shutting down" in (raised.value.details() or "")
    assert (await town.stats.GetStats(GetStatsRequest())).draining
    assert not draining.done()
    hold.set()
    assert spoken(await saying) == "Last words."
    await soon(draining)


async def test_a_line_that_outlasts_the_grace_is_cancelled(town: Town) -> None:
    town.engine.script.append(Reply("Never.", hold=asyncio.Event(), hold_after=3))
    saying = asyncio.create_task(town.say())
    line = await town.engine.line(0)
    await soon(town.daemon.drain())
    assert (await saying)[-1].WhichOneof("event") == "finished"
    assert line.cancelled


async def test_serve_ends_when_asked_and_stops_the_engine(persona_folder: Path) -> None:
    engine = ScriptedEngine()
    daemon = Daemon(settings_for(persona_folder), engine)
    serving = asyncio.create_task(daemon.serve())
    while not engine.ready:
        await asyncio.sleep(0)
    daemon.request_stop()
    await soon(serving)
    assert engine.stopped


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_stops(persona_folder: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    engine = ScriptedEngine()
    serving = asyncio.create_task(Daemon(settings_for(persona_folder), engine).serve())
    while not engine.ready:
        await asyncio.sleep(0)
    os.kill(os.getpid(), number)
    await soon(serving)
    assert engine.stopped
    assert signal.getsignal(number) == before


async def test_an_idle_daemon_ends_where_that_is_wanted(persona_folder: Path) -> None:
    engine = ScriptedEngine()
    await soon(Daemon(settings_for(persona_folder, exit_when_idle_s=0.01), engine).serve())
    assert engine.stopped


async def test_a_running_line_is_not_idleness(start_town: StartTown) -> None:
    hold = asyncio.Event()
    town = await start_town(ScriptedEngine([Reply(hold=hold)]), exit_when_idle_s=600)
    saying = asyncio.create_task(town.say())
    await town.engine.line(0)
    assert town.daemon._activity.idle_s == 0
    hold.set()
    await saying
    assert town.daemon._activity.idle_s > 0


async def test_a_client_that_watches_health_is_not_idleness(start_town: StartTown) -> None:
    town = await start_town(exit_when_idle_s=600)
    watch: Any = HealthStub(town.channel).Watch(health_pb2.HealthCheckRequest())
    other: Any = HealthStub(town.channel).Watch(health_pb2.HealthCheckRequest())
    await soon(watch.read())
    await soon(other.read())
    watch.cancel()
    assert town.daemon._activity.idle_s == 0
    other.cancel()
    while not town.daemon._activity.idle_s:
        await asyncio.sleep(0.01)


async def test_a_client_that_vanishes_is_no_client_any_more(start_town: StartTown) -> None:
    town = await start_town(exit_when_idle_s=600)
    async with grpc.aio.insecure_channel(town.daemon.address) as channel:
        await soon(HealthStub(channel).Watch(health_pb2.HealthCheckRequest()).read())
        assert town.daemon._activity.idle_s == 0
    while not town.daemon._activity.idle_s:
        await asyncio.sleep(0.01)


async def test_a_single_probe_of_health_is_idleness(start_town: StartTown) -> None:
    town = await start_town(exit_when_idle_s=600)
    before = town.daemon._activity.idle_s
    await HealthStub(town.channel).Check(health_pb2.HealthCheckRequest())
    assert town.daemon._activity.idle_s > before


async def test_the_daemon_stays_while_it_is_held_and_ends_after(persona_folder: Path) -> None:
    engine = ScriptedEngine()
    daemon = Daemon(settings_for(persona_folder, exit_when_idle_s=0.01), engine)
    daemon.hold()
    serving = asyncio.create_task(daemon.serve())
    while daemon._pulse is None:
        await asyncio.sleep(0)
    await asyncio.sleep(0.3)  # three looks at the idle time
    assert not engine.stopped
    daemon.release()
    await soon(serving)
    assert engine.stopped


async def test_clients_can_connect_before_the_model_is_loaded(persona_folder: Path) -> None:
    heard: list[tuple[str, int]] = []

    class Announcing(Daemon):
        def on_listening(self) -> None:
            heard.append((self.address, self.engine.started))  # type: ignore[attr-defined]

    daemon = Announcing(settings_for(persona_folder), ScriptedEngine())
    await daemon.start()
    await daemon.stop()
    assert heard == [(daemon.address, 0)]


async def test_one_line_in_the_log_says_where_it_serves(
    start_town: StartTown, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "townsfolk.daemon")
    town = await start_town()
    assert town.daemon.address.startswith("127.0.0.1:")
    assert not town.daemon.address.endswith(":0")
    assert [r.message for r in caplog.records if town.daemon.address in r.message]


async def test_a_port_in_use_is_told_by_its_number(town: Town, persona_folder: Path) -> None:
    engine = ScriptedEngine()
    port = town.daemon.address.split(":")[1]
    with pytest.raises(Unavailable, match=f"port {port} .*another daemon"):
        await Daemon(settings_for(persona_folder, address=town.daemon.address), engine).start()
    assert not engine.started
    assert engine.stopped


async def test_a_port_taken_between_looking_and_binding_is_not_shared(
    town: Town, persona_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("townsfolk.daemon.listener._probe", lambda _: None)
    with pytest.raises(InvalidArgument, match="cannot listen"):
        await Daemon(settings_for(persona_folder, address=town.daemon.address), ScriptedEngine()).start()


async def test_an_engine_that_cannot_start_stops_the_daemon(persona_folder: Path) -> None:
    engine = ScriptedEngine()
    engine.fail_start = FailedPrecondition("no model")
    daemon = Daemon(settings_for(persona_folder), engine)
    with pytest.raises(FailedPrecondition, match="no model"):
        await soon(daemon.serve())
    assert engine.stopped


async def test_calls_before_the_model_is_loaded_are_unavailable(persona_folder: Path) -> None:
    loading = asyncio.Event()

    class SlowEngine(ScriptedEngine):
        async def start(self) -> None:
            await loading.wait()
            await super().start()

    daemon = Daemon(settings_for(persona_folder), SlowEngine())
    starting = asyncio.create_task(daemon.start())
    while daemon._address is None:
        await asyncio.sleep(0)
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        town = Town(daemon, ScriptedEngine(), channel)
        health = await HealthStub(channel).Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        assert health.status == NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await town.say()
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
        loading.set()
        await soon(starting)
        assert spoken(await town.say()) == "Aye."
    await daemon.stop()


async def test_reflection_lists_every_service(town: Town) -> None:
    stub = ServerReflectionStub(town.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stream: Any = stub.ServerReflectionInfo(iter([request]))
    names = {s.name for s in (await soon(stream.read())).list_services_response.service}
    assert names == {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert len(SERVICES) == 7


# ── sockets and TLS ──────────────────────────────────────────────────────────────────────────────────────────

unix_only = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A short path: socket paths are limited to about 100 bytes, which pytest's own folders may exceed."""
    with tempfile.TemporaryDirectory(prefix="tf") as folder:
        yield Path(folder) / "s"


@unix_only
async def test_a_unix_socket_works_and_is_removed_at_the_end(start_town: StartTown, socket_path: Path) -> None:
    town = await start_town(address=f"unix:{socket_path}")
    assert spoken(await town.say()) == "Aye."
    await town.daemon.stop()
    assert not socket_path.exists()  # noqa: ASYNC240


@unix_only
async def test_a_stale_socket_is_replaced(start_town: StartTown, socket_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(socket_path))
    town = await start_town(address=f"unix:{socket_path}")
    assert spoken(await town.say()) == "Aye."


@unix_only
async def test_a_socket_in_use_is_left_alone(start_town: StartTown, socket_path: Path, persona_folder: Path) -> None:
    town = await start_town(address=f"unix:{socket_path}")
    with pytest.raises(Unavailable, match="another daemon"):
        await Daemon(settings_for(persona_folder, address=f"unix:{socket_path}"), ScriptedEngine()).start()
    assert spoken(await town.say()) == "Aye."


@unix_only
async def test_a_file_in_the_sockets_place_is_not_deleted(persona_folder: Path, socket_path: Path) -> None:
    socket_path.write_text("precious")  # noqa: ASYNC240
    with pytest.raises(InvalidArgument, match="not a socket"):
        await Daemon(settings_for(persona_folder, address=f"unix:{socket_path}"), ScriptedEngine()).start()
    assert socket_path.read_text() == "precious"  # noqa: ASYNC240


@pytest.mark.skipif(which("openssl") is None, reason="needs openssl to make a certificate")
async def test_tls_and_a_token_open_the_daemon_to_others(persona_folder: Path, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)  # noqa: ASYNC221
    settings = settings_for(
        persona_folder, address="0.0.0.0:0", token="secret", tls_certificate=certificate, tls_key=key
    )
    daemon = Daemon(settings, ScriptedEngine())
    await daemon.start()
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(certificate.read_bytes()), grpc.access_token_call_credentials("secret")
    )
    port = daemon.address.split(":")[1]
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        assert spoken(await Town(daemon, ScriptedEngine(), channel).say()) == "Aye."
    await daemon.stop()


def test_half_of_a_tls_pair_is_refused(persona_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no PEM")
    for own in (
        {"tls_key": tmp_path / "key.pem"},
        {"tls_certificate": tmp_path / "missing.pem"},
        {"tls_key": tmp_path / "key.pem", "tls_certificate": tmp_path / "key.pem"},
        {"tls_key": tmp_path / "missing.pem", "tls_certificate": tmp_path / "missing.pem"},
    ):
        with pytest.raises(InvalidArgument, match="tls"):
            Daemon(settings_for(persona_folder, **own), ScriptedEngine())
