"""A model's files without weights, an adapter, and servers of every kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.engine.remote.protocol_server import ProtocolServer
from tests.fakes import tiny_tokenizer, tiny_tokenizer_json
from townsfolk.config import EngineSettings
from townsfolk.engine.adapter_files import adapter_digest
from townsfolk.engine.messages import AdapterRef, Started, Step, TokenLikelihood
from townsfolk.engine.remote.adapter_store import adapter_name
from townsfolk.engine.remote.engine import RemoteEngine

KINDS = ("vllm", "sglang", "trtllm_serve", "nim", "lorax", "llama_cpp")
PATIENCE_S = 30.0
HEALTH_INTERVAL_S = 0.05

StartServer = Callable[..., Awaitable[ProtocolServer]]
StartEngine = Callable[..., Awaitable[RemoteEngine]]


class Heard:
    """A listener that writes down what it hears; it raises ``error`` at the first token."""

    def __init__(self, error: Exception | None = None) -> None:
        self.starts: list[Started] = []
        self.tokens: list[int] = []
        self.steps: list[Step] = []
        self.likelihoods: list[TokenLikelihood] = []
        self.first = asyncio.Event()
        self._error = error

    def started(self, started: Started) -> None:
        assert not self.tokens
        self.starts.append(started)

    def sampled(self, token_id: int, step: Step, likelihood: TokenLikelihood | None = None) -> None:
        assert self.starts
        self.tokens.append(token_id)
        self.steps.append(step)
        if likelihood is not None:
            self.likelihoods.append(likelihood)
        self.first.set()
        if self._error is not None:
            raise self._error

    @property
    def text(self) -> str:
        return tiny_tokenizer().decode(self.tokens)


def chat(player: str) -> list[int]:
    """A prompt of one ChatML message, the player's words without control tokens."""
    tokenizer = tiny_tokenizer()
    start, end = tokenizer.control_id("<|im_start|>"), tokenizer.control_id("<|im_end|>")
    words = tokenizer.encode(f"user\n{player}")
    return [start, *words, end, *tokenizer.encode("\n"), start, *tokenizer.encode("assistant\n")]


def write_adapter(folder: Path, seed: int = 0, **config: Any) -> AdapterRef:
    """A folder that looks like an adapter from outside; nobody here applies its weights."""
    folder.mkdir(parents=True)
    document = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "bias": "none"} | config
    (folder / "adapter_config.json").write_text(json.dumps(document), "utf-8")
    save_file({"lora_A": np.full((8, 2), seed, np.float32)}, folder / "adapter_model.safetensors")
    return AdapterRef(adapter_digest(folder), str(folder))


def name_of(adapter: AdapterRef) -> str:
    return adapter_name(Path(adapter.path), adapter.digest)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder without weights."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    config = {"model_type": "llama", "max_position_embeddings": 512, "bos_token_id": 256, "eos_token_id": 258}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "tokenizer.json").write_text(tiny_tokenizer_json(), "utf-8")
    return folder


@pytest.fixture
def adapter(tmp_path: Path) -> AdapterRef:
    return write_adapter(tmp_path / "elf" / "adapters" / "tiny")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The folder that servers share with the daemon."""
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
async def start_server(store: Path) -> AsyncIterator[StartServer]:
    """Start a server of a kind; llama.cpp's with the adapters that it is to have."""
    servers: list[ProtocolServer] = []

    async def start(kind: str, *adapters: AdapterRef) -> ProtocolServer:
        server = ProtocolServer(kind, store)
        server.adapters = {name_of(ref): f"C:\\loras\\{name_of(ref)}.gguf" for ref in adapters}
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        await server.kill()


@pytest.fixture
async def start_engine(model: Path, store: Path) -> AsyncIterator[StartEngine]:
    """Start an engine on servers; keywords are settings of ``[engine.remote]``."""
    engines: list[RemoteEngine] = []

    async def start(*servers: ProtocolServer, wait_for_all: bool = True, **remote: Any) -> RemoteEngine:
        endpoints = [{"url": server.url, "server": server.kind} for server in servers]
        remote = {"health_interval_s": HEALTH_INTERVAL_S, "adapter_store": store, "endpoints": endpoints} | remote
        engine = RemoteEngine(EngineSettings(model=model, start_timeout_s=PATIENCE_S, remote=remote))
        engines.append(engine)
        await engine.start()
        if wait_for_all:
            await until(lambda: all(endpoint.up for endpoint in engine.endpoints))
        return engine

    yield start
    for engine in engines:
        await engine.stop()
