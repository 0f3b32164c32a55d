"""What Prometheus reads from a daemon, by Prometheus' own parser."""

from __future__ import annotations

import socket

import grpc
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.daemon.conftest import StartTown, Town
from tests.fakes import Reply, unavailable
from townsfolk.errors import InvalidArgument, Unavailable

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scraped(town: Town) -> Samples:
    """All samples by name and labels."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{town.daemon.metrics_address}/metrics")
    answer.raise_for_status()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_lines_are_counted_and_timed(start_town: StartTown) -> None:
    town = await start_town(metrics_address="127.0.0.1:0")
    town.engine.script.extend([Reply("Good day to you."), Reply("Aye."), Reply(error=unavailable())])
    for _ in range(2):
        await town.say()
    with pytest.raises(grpc.aio.AioRpcError):
        await town.say()
    samples = await scraped(town)
    assert samples["townsfolk_request_success_total", (("finished_reason", "stop"),)] == 2
    assert samples["townsfolk_request_failure_total", (("status", "UNAVAILABLE"),)] == 1
    for histogram in ("time_to_first_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds"):
        assert samples[f"townsfolk_{histogram}_count", ()] == 2
        assert samples[f"townsfolk_{histogram}_sum", ()] >= 0
    assert samples["townsfolk_engine_ready", ()] == 1
    assert samples["townsfolk_personas", ()] == 3
    assert samples["townsfolk_generation_tokens_total", ()] > 0


async def test_no_words_are_among_them(start_town: StartTown) -> None:
    town = await start_town(metrics_address="127.0.0.1:0")
    town.engine.script.append(Reply("xylophone"))
    await town.say(text="zeppelin")
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://{town.daemon.metrics_address}/metrics")).text
    assert "townsfolk_request_success_total" in text
    assert "xylophone" not in text
    assert "zeppelin" not in text


async def test_nothing_is_served_unless_asked_for(town: Town) -> None:
    assert town.daemon.metrics_address == ""
    assert town.daemon.runner.registry.listeners == []


async def test_the_port_is_free_again_after_the_daemon_has_stopped(start_town: StartTown) -> None:
    town = await start_town(metrics_address="127.0.0.1:0")
    port = int(town.daemon.metrics_address.rpartition(":")[2])
    await town.daemon.stop()
    assert town.daemon.metrics_address == ""
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_a_taken_port_keeps_the_daemon_from_starting_with_a_sentence(start_town: StartTown) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(Unavailable, match="cannot serve metrics on 127"):
            await start_town(metrics_address=f"127.0.0.1:{other.getsockname()[1]}")


async def test_a_unix_socket_is_refused(start_town: StartTown) -> None:
    with pytest.raises(InvalidArgument, match="Prometheus scrapes host:port"):
        await start_town(metrics_address="unix:/tmp/metrics")
