"""What computes a step: a decoder with its KV cache, its form of adapters and its search for the likeliest tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from townsfolk.config import EngineSettings
from townsfolk.engine.embedded.adapter_pool import AdapterPool, AdapterStorage
from townsfolk.engine.embedded.checkpoint import Checkpoint
from townsfolk.engine.embedded.column_adapters import ColumnAdapters
from townsfolk.engine.embedded.decoder import Decoder, Step
from townsfolk.engine.embedded.int8_decoder import KV_DTYPE, Int8Decoder, PackedAdapters, kernel_candidates
from townsfolk.engine.embedded.kernel import load_kernel
from townsfolk.engine.embedded.kv_cache import KvCache
from townsfolk.engine.embedded.sampler import FindCandidates, torch_candidates


class StepDecoder(Protocol):
    """A base model that computes steps."""

    def forward(self, step: Step, kv: KvCache, pool: AdapterPool) -> torch.Tensor:
        """Logits fp32 ``[len(step.sampled), vocab]``; keys and values of all tokens are in ``kv`` afterwards."""
        ...

    def close(self) -> None:
        """Free what only a decoder can free."""
        ...


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to compute. ``adapter_dtype``: in which adapters are read before they are prepared for ``adapters``."""

    decoder: StepDecoder
    kv: KvCache
    adapters: AdapterStorage
    adapter_dtype: torch.dtype
    find_candidates: FindCandidates


def make_backend(
    checkpoint: Checkpoint,
    settings: EngineSettings,
    context: int,
    columns: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Backend:
    """The kernel in C++ for int8, PyTorch for all else.

    Raises ``FailedPrecondition`` where int8 is asked for and the kernel or the model does not allow it.
    """
    if dtype is torch.int8:
        return _int8_backend(checkpoint, settings, context, device)
    return Backend(
        decoder=Decoder(checkpoint, context, dtype, device),
        kv=KvCache(checkpoint.spec, settings.max_running, context, dtype, device),
        adapters=ColumnAdapters(checkpoint.spec, columns, dtype, device),
        adapter_dtype=dtype,
        find_candidates=torch_candidates,
    )


def _int8_backend(checkpoint: Checkpoint, settings: EngineSettings, context: int, device: torch.device) -> Backend:
    kernel = load_kernel()
    kv = KvCache(checkpoint.spec, settings.max_running, context, KV_DTYPE, device)
    threads = settings.threads or torch.get_num_threads()
    decoder = Int8Decoder(checkpoint, context, kv, kernel, threads, share_cores=settings.share_cores)
    return Backend(
        decoder=decoder,
        kv=kv,
        adapters=PackedAdapters(checkpoint.spec, kernel),
        adapter_dtype=torch.float32,
        find_candidates=kernel_candidates(decoder.model),
    )
