"""What the engine asks of TensorRT-LLM, in our own words, so that only ``api.py`` knows its names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from townsfolk.config import EngineSettings
from townsfolk.engine.messages import SamplingParams


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How the model is loaded. Sizes are in tokens, adapters and bytes; ``guided_decoding`` is empty for none."""

    model: Path
    max_context: int
    max_running: int
    max_rank: int
    max_gpu_adapters: int
    max_host_adapters: int
    tensor_parallel: int
    kv_cache_fraction: float
    kv_cache_dtype: str
    host_kv_cache_bytes: int
    guided_decoding: str
    sampler: str
    cuda_graphs: bool

    @classmethod
    def of(cls, settings: EngineSettings, model: Path, max_context: int) -> ModelOptions:
        """Options for the model in folder ``model``, of which ``max_context`` tokens are used."""
        own = settings.tensorrt_llm
        return cls(
            model=model,
            max_context=max_context,
            max_running=settings.max_running,
            max_rank=settings.max_rank,
            max_gpu_adapters=own.max_gpu_adapters,
            max_host_adapters=own.max_host_adapters,
            tensor_parallel=own.tensor_parallel,
            kv_cache_fraction=own.kv_cache_fraction,
            kv_cache_dtype=own.kv_cache_dtype,
            host_kv_cache_bytes=own.host_kv_cache_bytes,
            guided_decoding="" if own.guided_decoding == "off" else own.guided_decoding,
            sampler=own.sampler,
            cuda_graphs=own.cuda_graphs,
        )


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """An adapter as TensorRT-LLM knows it: by a number that stands for these weights for ever."""

    digest: str
    number: int
    folder: Path


@dataclass(frozen=True, slots=True)
class LineOptions:
    """One line. ``kept_prefix``: how many leading tokens of the prompt are worth keeping KV for."""

    prompt: list[int]
    sampling: SamplingParams
    max_tokens: int
    stop_ids: list[int]
    adapter: LoadedAdapter | None
    json_schema: str
    kept_prefix: int


@dataclass(frozen=True, slots=True)
class Update:
    """What one step brought to a line. ``finish`` is empty until the last one."""

    token_ids: list[int]
    cached_tokens: int
    finish: str
