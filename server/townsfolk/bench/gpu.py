"""`bench gpu`: the grid of `bench town` on an NVIDIA card, at the shape of a Llama 3B."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from townsfolk.bench.drive import DrivenEngine, EngineOptions, Progress, adapter_refs
from townsfolk.bench.figures import report_head
from townsfolk.bench.grid import Grid, GridPlan
from townsfolk.bench.random_model import SHAPES, RandomCheckpoint
from townsfolk.bench.workload import write_adapters
from townsfolk.engine.embedded.engine import EmbeddedEngine
from townsfolk.engine.embedded.start import choose_device, choose_dtype
from townsfolk.errors import FailedPrecondition


def bench_gpu(device: str, dtype: str, shape: str, plan: GridPlan, progress: Progress) -> dict[str, Any]:
    """Speed with random weights of the shape named ``shape``: ``machine``, ``model``, ``date``, ``weights``, ``rows``.

    One engine speaks all lines, so that a card needs room for one model only. Raises ``FailedPrecondition`` where an
    NVIDIA card is asked for and there is none.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise FailedPrecondition(
            "bench gpu needs an NVIDIA card, and this PyTorch sees none; `townsfolk bench town` measures the CPU"
        )
    progress(0, len(plan.cells), "making a model of random weights")
    place = choose_device(device)
    options = EngineOptions(Path(), device, dtype)
    settings = options.settings(
        streams=plan.most_streams, adapters=plan.most_adapters, rank=plan.rank, context=plan.context
    )

    def make(wake: Any) -> EmbeddedEngine:
        spec = SHAPES[shape]
        return EmbeddedEngine(RandomCheckpoint(spec, place), settings, place, choose_dtype(dtype, place, spec), wake)

    with tempfile.TemporaryDirectory(prefix="townsfolk-bench-") as folder, DrivenEngine(make) as driven:
        head = report_head(driven.engine)
        progress(0, len(plan.cells), "writing adapters")
        folders = write_adapters(Path(folder), driven.engine.spec, plan.most_adapters, plan.rank)
        rows = Grid(plan, driven, driven, adapter_refs(folders)).rows(progress)
    return head | {"weights": "random", "rows": rows}
