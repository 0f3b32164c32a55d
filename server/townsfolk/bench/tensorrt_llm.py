"""`bench gpu --engine tensorrt_llm`: the grid of `bench town` in TensorRT-LLM, with a model from disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from townsfolk.bench.drive import DrivenEngine, EngineOptions, Progress, adapter_refs
from townsfolk.bench.figures import report_head
from townsfolk.bench.grid import Grid, GridPlan
from townsfolk.bench.workload import write_adapters
from townsfolk.engine.choose import tensorrt_llm_version
from townsfolk.engine.gpu import find_gpus
from townsfolk.engine.tensorrt_llm.fit import device_index
from townsfolk.engine.tensorrt_llm.start import start_engine


def bench_tensorrt_llm(model: Path, device: str, plan: GridPlan, progress: Progress) -> dict[str, Any]:
    """Speed with the model in the folder ``model``: as ``bench_gpu``, with ``weights`` being its precision.

    TensorRT-LLM never lets go of an adapter, so all of them stay loaded. Raises ``FailedPrecondition`` where it cannot
    run.
    """
    progress(0, len(plan.cells), "loading the model")
    settings = EngineOptions(model, device).settings(
        streams=plan.most_streams, adapters=plan.most_adapters, rank=plan.rank, context=plan.context
    )
    adapters = max(plan.most_adapters, 1)
    own = {"max_gpu_adapters": adapters, "max_host_adapters": adapters, "guided_decoding": "off"}
    settings = settings.model_copy(
        update={"kind": "tensorrt_llm", "tensorrt_llm": settings.tensorrt_llm.model_copy(update=own)}
    )
    gpu = find_gpus().gpus[device_index(device)]
    with (
        tempfile.TemporaryDirectory(prefix="townsfolk-bench-") as folder,
        DrivenEngine(lambda wake: start_engine(settings, wake)) as driven,
    ):
        head = report_head(driven.engine)
        head["machine"] |= {
            "accelerator": gpu.name,
            "accelerator_memory_gb": round(gpu.total_bytes / 1e9, 1),
            "driver": gpu.driver,
            "tensorrt_llm": tensorrt_llm_version(),
        }
        progress(0, len(plan.cells), "writing adapters")
        folders = write_adapters(Path(folder), driven.engine.spec, plan.most_adapters, plan.rank)
        rows = Grid(plan, driven, driven, adapter_refs(folders)).rows(progress)
    return head | {"engine": "tensorrt_llm", "weights": head["machine"]["dtype"], "rows": rows}
