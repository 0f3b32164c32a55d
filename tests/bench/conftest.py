"""A tiny model to measure, on one thread, because two of them wait longer for each other than it computes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.engine.embedded.tiny_models import write_model
from townsfolk.bench.drive import DrivenEngine, EngineOptions


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model("smollm2", tmp_path_factory.mktemp("bench") / "tiny")


@pytest.fixture(scope="session")
def options(tiny_model: Path) -> EngineOptions:
    return EngineOptions(tiny_model, "cpu", "fp32", threads=1)


@pytest.fixture
def driven(options: EngineOptions) -> Iterator[DrivenEngine]:
    """An engine of four streams, with room for two adapters of rank 4 and lines of 100 tokens."""
    with DrivenEngine.start(options.settings(streams=4, adapters=2, rank=4, context=100)) as driven:
        yield driven
