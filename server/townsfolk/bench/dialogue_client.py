"""A game's side of the measurement: asks a daemon for many lines at once over gRPC, and notes when the words arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from townsfolk.bench.drive import BatchTime
from townsfolk.cli.client import Target
from townsfolk.errors import Unavailable
from townsfolk.v1.dialogue_pb2 import ConverseRequest, SayRequest
from townsfolk.v1.dialogue_pb2_grpc import DialogueServiceStub

CONNECT_TIMEOUT_S = 10.0
LINE_DEADLINE_S = 600.0


@dataclass
class Heard:
    """What came back for lines that were asked together. ``delays_s``: of each delta, from its sampling to here."""

    time: BatchTime
    delays_s: list[float]


@dataclass
class _Ear:
    tokens: int = 0
    delays_s: list[float] = field(default_factory=list)

    def hear(self, event: Any) -> bool:
        """Take an event; whether it is its line's last. Raises ``Unavailable`` for a line that failed."""
        match event.WhichOneof("event"):
            case "speech_delta":
                self.delays_s.append((time.time_ns() - event.speech_delta.sampled_unix_ns) / 1e9)
            case "finished":
                if event.finished.fallback:
                    raise Unavailable(f"a line could not be spoken in time ({event.finished.fallback_reason})")
                self.tokens += event.finished.stats.completion_tokens
                return True
            case "error":
                raise Unavailable(f"a line failed in the daemon: {event.error.message}")
        return False


def line_request(persona_id: str, text: str, max_tokens: int) -> SayRequest:
    """A request for one greedy line without any penalty, as ``DrivenEngine`` asks for it."""
    request = SayRequest(persona_id=persona_id, text=text, deadline_s=LINE_DEADLINE_S)
    sampling = request.sampling
    sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p = 0.0, 1.0, 0, 0.0
    sampling.repetition_penalty, sampling.seed, sampling.max_tokens = 1.0, 0, max_tokens
    return request


async def ask_by_say(target: Target, requests: Sequence[SayRequest]) -> Heard:
    """Ask for every line in a ``Say`` call of its own, all at once."""

    async def ask(request: SayRequest) -> None:
        async for response in dialogue.Say(request):
            ear.hear(response.event)

    ear = _Ear()
    async with _connected(target) as dialogue:
        started = time.perf_counter()
        await asyncio.gather(*(ask(request) for request in requests))
        seconds = time.perf_counter() - started
    return Heard(BatchTime(ear.tokens, seconds), ear.delays_s)


async def ask_by_converse(target: Target, requests: Sequence[SayRequest]) -> Heard:
    """Ask for all lines on one ``Converse`` stream."""
    ear = _Ear()
    async with _connected(target) as dialogue:
        started = time.perf_counter()
        scene = dialogue.Converse()
        for request in requests:
            await scene.write(ConverseRequest(say=request))
        await scene.done_writing()
        ended = 0
        async for response in scene:
            ended += sum(ear.hear(event) for event in response.events)
        seconds = time.perf_counter() - started
    if ended != len(requests):
        raise Unavailable(f"the daemon ended a scene after {ended} of {len(requests)} lines")
    return Heard(BatchTime(ear.tokens, seconds), ear.delays_s)


@asynccontextmanager
async def _connected(target: Target) -> AsyncIterator[Any]:
    """The service's stub on a connection that stands, so that connecting is not timed."""
    async with grpc.aio.insecure_channel(target.address) as channel:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await channel.channel_ready()
        yield DialogueServiceStub(channel)
