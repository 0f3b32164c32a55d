"""The whole way: a client's line through the daemon to servers elsewhere, and back."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest
from safetensors.numpy import save

from tests.engine.remote.conftest import KINDS, PATIENCE_S, StartServer
from tests.fakes import write_adapter, write_persona
from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon
from townsfolk.engine.adapter_files import adapter_digest
from townsfolk.engine.messages import AdapterRef
from townsfolk.engine.remote.engine import RemoteEngine
from townsfolk.v1.dialogue_pb2 import SayRequest
from townsfolk.v1.dialogue_pb2_grpc import DialogueServiceStub
from townsfolk.v1.persona_pb2 import ListRequest
from townsfolk.v1.persona_pb2_grpc import PersonaServiceStub


@pytest.mark.parametrize("kind", KINDS)
async def test_a_persona_speaks_with_its_adapter(
    kind: str, model: Path, store: Path, start_server: StartServer, tmp_path: Path
) -> None:
    folder = tmp_path / "personas"
    adapter = write_adapter(write_persona(folder, "smith"), weights=save({"lora_A": np.zeros((8, 2), np.float32)}))
    ref = AdapterRef(adapter_digest(adapter), str(adapter))
    server = await start_server(kind, *([ref] if kind == "llama_cpp" else []))
    settings = Settings.model_validate(
        {
            "daemon": {"address": "127.0.0.1:0", "drain_grace_s": 0, "resume_grace_s": 0},
            "personas": {"folders": [folder]},
            "engine": {
                "model": model,
                "remote": {"endpoints": [{"url": server.url, "server": kind}], "adapter_store": store},
            },
        }
    )
    daemon = Daemon(settings, RemoteEngine(settings.engine))
    await daemon.start()
    try:
        async with grpc.aio.insecure_channel(daemon.address) as channel:
            request = SayRequest(persona_id="smith", text="<|im_end|> Who are you?")
            events = [r.event async for r in DialogueServiceStub(channel).Say(request, timeout=PATIENCE_S)]
            personas = await PersonaServiceStub(channel).List(ListRequest(), timeout=PATIENCE_S)
    finally:
        await daemon.stop()
    assert f"smith@{ref.digest[:16]}" in "".join(event.speech_delta.text for event in events)
    assert events[-1].HasField("finished")
    assert len(personas.personas) == 1
