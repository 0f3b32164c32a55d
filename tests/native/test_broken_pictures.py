"""Pictures that a daemon sends wrongly end their story with DATA_LOSS, and take no more memory than they may."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.conformance.client_process import ClientProcess
from tests.conformance.clients import Missing, cpp_runner
from tests.native.native_client import required_library
from townsfolk.v1 import daemon_pb2, daemon_pb2_grpc, story_pb2, story_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
MOST_BYTES = 16 * 1024 * 1024
FINISHED = {"finished": story_pb2.ComposeFinished(story="Over.")}


def picture(size_bytes: int, index: int = 0) -> dict[str, Any]:
    return {"picture": story_pb2.Picture(media_type="image/png", size_bytes=size_bytes, picture_index=index)}


def chunk(offset: int, data: bytes, index: int = 0) -> dict[str, Any]:
    return {"picture_chunk": story_pb2.PictureChunk(offset=offset, data=data, picture_index=index)}


WHOLE = [picture(8), chunk(0, b"12345678")]
BROKEN = {
    "too large": ([picture(MOST_BYTES + 1)], "larger than 16 MiB"),
    "empty": ([picture(0)], "empty"),
    "in the middle of another": ([picture(8), picture(8, 1)], "in the middle of another"),
    "a gap": ([picture(8), chunk(0, b"123"), chunk(4, b"5")], "one after the other"),
    "too long": ([picture(8), chunk(0, b"123456789")], "one after the other"),
    "bytes of no picture": ([chunk(0, b"1")], "one after the other"),
    "more than asked for": ([*WHOLE, *WHOLE, *WHOLE], "more pictures than were asked for"),
    "cut short": ([picture(8), chunk(0, b"123"), FINISHED], "before all of it had come"),
    "no end": (WHOLE, "before all of it had come"),
}


class Daemon(
    story_pb2_grpc.StoryServiceServicer, daemon_pb2_grpc.DaemonServiceServicer, health_pb2_grpc.HealthServicer
):
    """Sends what a test wants sent."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.stopped = threading.Event()

    def Compose(self, request: story_pb2.ComposeRequest, context: Any) -> Iterator[story_pb2.ComposeResponse]:
        for sequence, event in enumerate(self.events):
            yield story_pb2.ComposeResponse(story_id="story", sequence=sequence, **event)

    def GetStats(self, request: daemon_pb2.GetStatsRequest, context: Any) -> daemon_pb2.GetStatsResponse:
        return daemon_pb2.GetStatsResponse()

    def Watch(self, request: Any, context: Any) -> Iterator[health_pb2.HealthCheckResponse]:
        yield health_pb2.HealthCheckResponse(status=SERVING)
        self.stopped.wait()


@pytest.fixture(scope="module")
def daemon() -> Iterator[tuple[Daemon, str]]:
    served = Daemon()
    server = grpc.server(ThreadPoolExecutor(4))
    story_pb2_grpc.add_StoryServiceServicer_to_server(served, server)
    daemon_pb2_grpc.add_DaemonServiceServicer_to_server(served, server)
    health_pb2_grpc.add_HealthServicer_to_server(served, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield served, f"127.0.0.1:{port}"
    served.stopped.set()
    server.stop(0).wait()


@pytest.fixture(scope="module")
def client(daemon: tuple[Daemon, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientProcess]:
    required_library()
    try:
        runner = cpp_runner(tmp_path_factory.mktemp("runner"))
    except Missing as missing:
        pytest.skip(str(missing))
    process = ClientProcess(runner.command, runner.environment)
    process.send("connect", {"address": daemon[1]})
    yield process
    assert process.stop() == 0


def end(client: ClientProcess, label: str) -> tuple[str, str, str]:
    """Kind, status and sentence of a story's last event."""
    client.send("compose", {"as": label, "idea": "a light", "pictures": 2})
    last = client.wait(label, lambda events: any(event.last for event in events), "the last event")[-1]
    return last.kind, last.text("status"), last.text()


@pytest.mark.parametrize("how", BROKEN)
def test_broken_picture_ends_its_story(how: str, client: ClientProcess, daemon: tuple[Daemon, str]) -> None:
    daemon[0].events, why = BROKEN[how]
    kind, status, sentence = end(client, how)
    assert (kind, status) == ("error", "DATA_LOSS")
    assert why in sentence


def test_whole_picture_is_taken(client: ClientProcess, daemon: tuple[Daemon, str]) -> None:
    daemon[0].events = [*WHOLE, FINISHED]
    assert end(client, "whole") == ("composed", "", "Over.")
    assert client.events("whole/picture/0")[0].text("begins") == b"12345678".hex()
