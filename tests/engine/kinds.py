"""Every kind of engine there is, as the suite of behaviours starts it: a kind joins by an entry in ``KINDS``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engine.remote.computing_server import ComputingServer
from tests.engine.tensorrt_llm.doubled import doubled
from townsfolk.config import EngineSettings
from townsfolk.engine.interface import Engine
from townsfolk.engine.process import EngineProcess
from townsfolk.engine.remote.engine import RemoteEngine

# Starts an engine over a model folder with these settings, and stops it at the end.
Starter = Callable[..., AbstractAsyncContextManager[Engine]]


@asynccontextmanager
async def embedded(model: Path, **settings: Any) -> AsyncIterator[Engine]:
    """Our own engine, in its process."""
    engine = EngineProcess(
        EngineSettings(kind="embedded", model=model, dtype="fp32", device="cpu", threads=1, **settings)
    )
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


@asynccontextmanager
async def tensorrt_llm(model: Path, **settings: Any) -> AsyncIterator[Engine]:
    """The engine over TensorRT-LLM, in its process, over the double."""
    with doubled():
        engine = EngineProcess(EngineSettings(kind="tensorrt_llm", model=model, **settings))
        try:
            await engine.start()
            yield engine
        finally:
            await engine.stop()


@asynccontextmanager
async def remote(model: Path, **settings: Any) -> AsyncIterator[Engine]:
    """The engine over HTTP, and a server that has the model: what is its own affair there is set on the server."""
    own = {name: value for name, value in settings.items() if name in ("max_context", "max_rank")}
    server = ComputingServer(
        EngineSettings(kind="embedded", model=model, dtype="fp32", device="cpu", threads=1, **settings)
    )
    try:
        await server.start()
        over = {"endpoints": [{"url": server.url, "server": "vllm"}], "send_priority": True, "retries": 0}
        engine = RemoteEngine(EngineSettings(kind="remote", model=model, remote=over, **own))
        try:
            await engine.start()
            yield engine
        finally:
            await engine.stop()
    finally:
        await server.kill()


KINDS: dict[str, Starter] = {"embedded": embedded, "tensorrt_llm": tensorrt_llm, "remote": remote}
ONLY_ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TensorRT-LLM is for Linux")
ALL_KINDS = [pytest.param(kind, marks=ONLY_ON_LINUX if kind == "tensorrt_llm" else ()) for kind in KINDS]
