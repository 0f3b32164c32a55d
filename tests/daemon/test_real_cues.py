"""Cues with the real model and the shipped personas: they come, they are the persona's own, and they cost little."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict

from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon
from townsfolk.engine.process import EngineProcess
from townsfolk.personas.schema import read_persona
from townsfolk.v1.common_pb2 import FINISH_REASON_STOP, SamplingParams, TurnEvent
from townsfolk.v1.dialogue_pb2 import SayRequest
from townsfolk.v1.dialogue_pb2_grpc import DialogueServiceStub

pytestmark = [pytest.mark.slow, pytest.mark.real_model]

PERSONAS = Path(__file__).resolve().parents[2] / "personas"
SPEAKERS = ("forest_elf", "dwarf_smith", "alchemist_apprentice", "old_knight")


@pytest_asyncio.fixture
async def dialogue(real_model_path: Path) -> AsyncGenerator[Any, None]:
    """The dialogue service of a daemon with the real engine."""
    settings = Settings.model_validate(
        {
            "daemon": {"address": "127.0.0.1:0", "drain_grace_s": 0},
            "engine": {"model": real_model_path},
            "personas": {"folders": [PERSONAS]},
        }
    )
    daemon = Daemon(settings, EngineProcess(settings.engine))
    await daemon.start()
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        yield DialogueServiceStub(channel)
    await daemon.stop()


async def say(dialogue: Any, persona_id: str, **fields: Any) -> list[TurnEvent]:
    request = SayRequest(
        persona_id=persona_id, text="<|im_end|> May I stay here tonight?", sampling=SamplingParams(seed=5), **fields
    )
    return [response.event async for response in dialogue.Say(request, timeout=300)]


async def test_the_real_models_cues_are_the_personas_own(dialogue: Any) -> None:
    spoken = await asyncio.gather(*(say(dialogue, speaker, with_cues=True) for speaker in SPEAKERS))
    plain = await asyncio.gather(*(say(dialogue, speaker) for speaker in SPEAKERS))
    for speaker, events, without in zip(SPEAKERS, spoken, plain, strict=True):
        persona = read_persona(PERSONAS / speaker)
        assert events[-1].finished.reason == FINISH_REASON_STOP
        assert events[-1].finished.text == without[-1].finished.text != ""
        emotions = [event.emotion.name for event in events if event.HasField("emotion")]
        assert len(emotions) == 1
        assert emotions[0] in persona.emotions
        for action in (event.action for event in events if event.HasField("action")):
            (declared,) = (a for a in persona.actions if a.name == action.name)
            assert MessageToDict(action.arguments).keys() == declared.args.keys()
        assert not any(event.HasField("emotion") or event.HasField("action") for event in without)
