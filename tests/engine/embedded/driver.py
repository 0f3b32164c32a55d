"""Driving the engine in process: no pipe, no daemon, only steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from townsfolk.config import EngineSettings
from townsfolk.engine.adapter_files import adapter_digest
from townsfolk.engine.embedded.checkpoint import open_checkpoint
from townsfolk.engine.embedded.decoder import PromptChunk, Step
from townsfolk.engine.embedded.engine import EmbeddedEngine
from townsfolk.engine.messages import AdapterLoaded, AdapterRef, Finished, Generate, RequestFailed, Started, Token

PATIENCE_S = 120.0  # how long a test may wait for the adapter reader before it is called stuck


@dataclass
class Line:
    """All that came back for one request."""

    tokens: list[int] = field(default_factory=list)
    events: list[Token] = field(default_factory=list)
    started: Started | None = None
    finished: Finished | None = None
    failed: RequestFailed | None = None

    @property
    def ended(self) -> bool:
        return self.finished is not None or self.failed is not None


def make_engine(
    model: Path, dtype: torch.dtype = torch.float32, device: str = "cpu", **settings: Any
) -> EmbeddedEngine:
    """An engine over the model in ``model``."""
    return EmbeddedEngine(open_checkpoint(model), EngineSettings(**settings), torch.device(device), dtype)


def adapter_ref(folder: Path, scale: float = 1.0) -> AdapterRef:
    return AdapterRef(adapter_digest(folder), str(folder), scale)


def run_lines(
    engine: EmbeddedEngine,
    requests: list[Generate],
    after_step: Callable[[EmbeddedEngine, dict[int, Line]], None] = lambda engine, lines: None,
) -> dict[int, Line]:
    """Submit all requests, step until each has ended, check that nothing leaked, and return what came back."""
    lines = {request.request_id: Line() for request in requests}
    for request in requests:
        engine.submit(request)
    drive(engine, lines, after_step)
    return lines


def load_adapters(engine: EmbeddedEngine, adapters: list[AdapterRef]) -> None:
    """Make adapters resident, so that lines which use them start in one step however slow the disk is."""
    for call_id, adapter in enumerate(adapters):
        engine.load_adapter(call_id, adapter)
    deadline, loaded = time.monotonic() + PATIENCE_S, 0
    while loaded < len(adapters):
        assert time.monotonic() < deadline, "the engine is stuck"
        engine.step()
        for answer in collect(engine, {}):
            assert isinstance(answer, AdapterLoaded), answer
            assert answer.resident, "no room for all of them"
            loaded += 1


def drive(
    engine: EmbeddedEngine,
    lines: dict[int, Line],
    after_step: Callable[[EmbeddedEngine, dict[int, Line]], None] = lambda engine, lines: None,
) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not all(line.ended for line in lines.values()):
        assert time.monotonic() < deadline, "the engine is stuck"
        if not engine.step():
            time.sleep(0.001)
        collect(engine, lines)
        engine.check_integrity()
        after_step(engine, lines)
        collect(engine, lines)


def collect(engine: EmbeddedEngine, lines: dict[int, Line]) -> list[Any]:
    """Sort the engine's events into their lines; returns those that belong to none."""
    others = []
    for event in engine.take_events():
        match event:
            case Started(request_id=i) if i in lines:
                assert lines[i].started is None, "a line started twice"
                lines[i].started = event
            case Token(request_id=i) if i in lines:
                assert not lines[i].ended, "a token after the end"
                lines[i].tokens.append(event.token_id)
                lines[i].events.append(event)
            case Finished(request_id=i) if i in lines:
                assert not lines[i].ended, "a line ended twice"
                lines[i].finished = event
            case RequestFailed(request_id=i) if i in lines:
                assert not lines[i].ended, "a line ended twice"
                lines[i].failed = event
            case _:
                others.append(event)
    return others


@torch.inference_mode()
def prompt_logits(
    engine: EmbeddedEngine, prompt: list[int], adapter: AdapterRef | None, position: int = 0
) -> torch.Tensor:
    """Logits fp32 ``[len(prompt), vocab]`` of every position of a prompt, in one pass of an idle engine.

    ``position``: of its first token; what stands before it must have been read by the call before.
    """
    slot = None
    if adapter is not None:
        slot = engine.pool.find(adapter.digest) or engine.pool.insert(engine._read_and_prepare(adapter))
        assert slot is not None
    count = len(prompt)
    everything = torch.arange(count)
    step = Step(
        tokens=torch.tensor(prompt),
        positions=position + everything,
        rows=torch.zeros(count, dtype=torch.int64),
        decode_count=0,
        decode_slots=[],
        decode_scales=[],
        chunks=[PromptChunk(0, 0, count, position, slot, adapter.scale if adapter else 0.0)],
        row_count=0,
        longest=1,
        sampled=everything,
    )
    return engine.decoder.forward(step, engine.kv, engine.pool)
