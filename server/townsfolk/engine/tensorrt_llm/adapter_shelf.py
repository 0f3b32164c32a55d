"""Adapters checked and copied before TensorRT-LLM sees them.

TensorRT-LLM checks little and would compute something else without a word (``alpha_pattern``, ranks, foreign modules),
and it reads an adapter's folder again whenever it has dropped it from its caches. So it gets a copy of our own.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from townsfolk.engine.adapter_files import CONFIG_FILE, WEIGHTS_FILE, adapter_digest, read_adapter_config
from townsfolk.engine.embedded.peft_adapter import read_adapter
from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.engine.messages import AdapterRef
from townsfolk.errors import FailedPrecondition


@dataclass(frozen=True, slots=True)
class ShelvedAdapter:
    """A checked adapter in a folder that nobody else writes to."""

    digest: str
    folder: Path
    rank: int
    bytes: int


class AdapterShelf:
    """Copies of adapters that fit the model ``spec``, in a temporary folder that ``close`` removes."""

    def __init__(self, spec: ModelSpec, fingerprint: str, max_rank: int) -> None:
        self._spec, self._fingerprint, self._max_rank = spec, fingerprint, max_rank
        self._folder = TemporaryDirectory(prefix="townsfolk-adapters-", ignore_cleanup_errors=True)

    def put(self, adapter: AdapterRef) -> ShelvedAdapter:
        """Check an adapter and copy it. Reads the disk. Raises as ``read_adapter`` does."""
        source = Path(adapter.path)
        config = read_adapter_config(source)
        if config.alpha_pattern:
            raise FailedPrecondition(
                f"the adapter at {source} has an alpha_pattern, which TensorRT-LLM does not read; train it without, "
                "or use the embedded engine",
                field="adapter",
            )
        weights = read_adapter(source, adapter.digest, self._spec, self._fingerprint, torch.bfloat16, self._max_rank)
        folder = Path(self._folder.name) / adapter.digest
        folder.mkdir(exist_ok=True)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            shutil.copyfile(source / name, folder / name)
        if adapter_digest(folder) != adapter.digest:
            raise FailedPrecondition(
                f"the adapter at {source} has changed on disk; reload the persona", field="adapter"
            )
        return ShelvedAdapter(adapter.digest, folder, weights.rank, weights.bytes)

    def clear(self) -> None:
        """Remove every copy; for when TensorRT-LLM has been shut down."""
        for folder in Path(self._folder.name).iterdir():
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        self._folder.cleanup()
