"""Players of flesh and gRPC: the same talk as in the simulation, with a real daemon."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import grpc
from batching import Outcome, Talk

from townsfolk.cli.client import Target
from townsfolk.errors import Unavailable
from townsfolk.v1.common_pb2 import SamplingParams
from townsfolk.v1.dialogue_pb2 import SayRequest
from townsfolk.v1.dialogue_pb2_grpc import DialogueServiceStub

LINES = (
    "What is there to see in this town?",
    "I heard a strange noise behind the mill last night.",
    "Who would buy a rusty sword with a broken hilt?",
    "Tell me about the people who live by the harbour.",
    "Do you know a safe way through the forest?",
)
CONNECTIONS = 4  # a channel carries about a hundred calls at once


async def play(
    target: Target,
    personas: Sequence[str],
    players: int,
    talk: Talk,
    *,
    seconds: float,
    warm_up_s: float,
    seed: int = 0,
) -> Outcome:
    """Let players talk to random personas for that long. Raises ``Unavailable`` for a line that failed."""
    outcome = Outcome(players, seconds=seconds)
    began = time.monotonic()
    dice = random.Random(seed)
    channels = [grpc.aio.insecure_channel(target.address) for _ in range(CONNECTIONS)]
    since, until = began + warm_up_s, began + warm_up_s + seconds
    loops = []
    for index in range(players):
        dialogue = DialogueServiceStub(channels[index % CONNECTIONS])
        loops.append(_player(dialogue, personas, talk, random.Random(dice.random()), since, until, outcome))
    try:
        await asyncio.gather(*loops)
    finally:
        for channel in channels:
            await channel.close()
    return outcome


async def _player(
    dialogue: DialogueServiceStub, personas: Sequence[str], talk: Talk, dice: random.Random, since: float, until: float,
    outcome: Outcome,
) -> None:  # fmt: skip
    await _think(talk, dice, until)
    while time.monotonic() < until:
        length = max(2, round(dice.expovariate(1 / talk.reply_tokens)))
        request = SayRequest(
            persona_id=dice.choice(personas), text=dice.choice(LINES), sampling=SamplingParams(max_tokens=length)
        )
        asked, first, tokens = time.monotonic(), None, 0
        async for response in dialogue.Say(request):
            match response.event.WhichOneof("event"):
                case "speech_delta" if first is None:
                    first = time.monotonic()
                case "finished":
                    tokens = response.event.finished.stats.completion_tokens
                case "error":
                    raise Unavailable(f"a line failed: {response.event.error.message}")
        now = time.monotonic()
        if first is not None and since <= now < until:
            outcome.first_token_s.append(first - asked)
            outcome.line_s.append(now - asked)
            outcome.tokens += tokens
        await _think(talk, dice, until)


async def _think(talk: Talk, dice: random.Random, until: float) -> None:
    """For a while, but not beyond the end."""
    await asyncio.sleep(min(dice.expovariate(1 / talk.think_s), max(0.0, until - time.monotonic())))
