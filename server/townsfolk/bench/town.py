"""`bench town`: different adapters in one batch, against one at a time and against the base model."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from townsfolk.bench.drive import DrivenEngine, EngineOptions, Progress, adapter_refs
from townsfolk.bench.figures import report_head
from townsfolk.bench.grid import Grid, GridPlan
from townsfolk.bench.workload import write_adapters


def bench_town(options: EngineOptions, plan: GridPlan, progress: Progress) -> dict[str, Any]:
    """Speed of the embedded engine in this process: ``machine``, ``model``, ``date`` and ``rows``.

    Two engines run in turn, one with adapters and one in which none is ever loaded. Raises ``TownsfolkError``.
    """
    progress(0, len(plan.cells), "loading the model")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="townsfolk-bench-"))
        start = {"streams": plan.most_streams, "rank": plan.rank, "context": plan.context}
        town = DrivenEngine.start(options.settings(adapters=plan.most_adapters, **start))
        stack.enter_context(town)
        plain = stack.enter_context(DrivenEngine.start(options.settings(adapters=0, **start)))
        head = report_head(town.engine)
        folders = write_adapters(Path(folder), town.engine.spec, plan.most_adapters, plan.rank)
        return head | {"rows": Grid(plan, town, plain, adapter_refs(folders)).rows(progress)}
