"""Every kind of engine there is, as the suite of behaviours starts it: a kind joins by an entry in ``KINDS``."""

from __future__ import annotations

import sys
import tempfile
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
ADAPTERS = 8  # in one batch of vLLM's
PATIENT = {"first_token_timeout_s": 300.0, "token_timeout_s": 300.0, "load_timeout_s": 300.0}  # with kernels to compile


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
    """The engine over HTTP, and a server that has the model."""
    server = ComputingServer(
        EngineSettings(kind="embedded", model=model, dtype="fp32", device="cpu", threads=1, **settings)
    )
    try:
        await server.start()
        async with _over_http(server.url, model, **settings) as engine:
            yield engine
    finally:
        await server.kill()


@asynccontextmanager
async def vllm(model: Path, max_running: int = 16, **settings: Any) -> AsyncIterator[Engine]:
    """The engine over HTTP, and a real vLLM."""
    from tests.remote.real_servers import Limits, RealServer

    with tempfile.TemporaryDirectory(prefix="vllm-") as logs:
        limits = Limits(
            "float32", settings.get("max_context", 256), max_running, ADAPTERS, settings.get("max_rank", 16)
        )
        server = RealServer("vllm", model, [], Path(logs) / "log", limits)
        server.start()
        try:
            async with _over_http(server.url, model, **settings) as engine:
                yield engine
        finally:
            server.kill()


@asynccontextmanager
async def _over_http(url: str, model: Path, **settings: Any) -> AsyncIterator[Engine]:
    own = {name: value for name, value in settings.items() if name in ("max_context", "max_rank")}
    remote = {"endpoints": [{"url": url, "server": "vllm"}], "send_priority": True, "retries": 0} | PATIENT
    engine = RemoteEngine(EngineSettings(kind="remote", model=model, remote=remote, start_timeout_s=600, **own))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


KINDS: dict[str, Starter] = {"embedded": embedded, "tensorrt_llm": tensorrt_llm, "remote": remote, "vllm": vllm}
OVER_HTTP = ("remote", "vllm")  # where one line may overtake another on its way
MARKS = {
    "tensorrt_llm": pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TensorRT-LLM is for Linux"),
    "vllm": pytest.mark.remote,
}
ALL_KINDS = [pytest.param(kind, marks=MARKS.get(kind, ())) for kind in KINDS]
