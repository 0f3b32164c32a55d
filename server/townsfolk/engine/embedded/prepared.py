"""A model as the int8 decoder keeps it in memory, in a file of the user's cache, so that the next start is quicker.

The first start with a model unpacks and packs every weight and rebuilds the tokenizer. The result is kept, in a
safetensors file of about the size of the weights in int8, and the next start reads that file alone. It is a copy and
nothing else: one that is missing, damaged or of another version is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from townsfolk.engine.embedded.checkpoint import Checkpoint, open_checkpoint
from townsfolk.engine.embedded.kernel import ABI_VERSION, Kernel
from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.models import models_dir

log = logging.getLogger(__name__)

FORMAT = 1
MIN_MODEL_BYTES = 32 << 20  # smaller models load quickly anyway
MAX_PREPARED = 4  # models whose prepared weights are kept, the latest ones
SCRATCH_PREFIX = ".prepare-"
STALE_SCRATCH_S = 24 * 3600.0  # left behind by a process that was killed
PACKED, FREQUENCIES = "packed", "inverse_frequencies"


class PreparedCheckpoint:
    """A ``Checkpoint`` whose matrices are packed already. Dense matrices are read from the model itself if need be."""

    def __init__(self, model: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        about: dict[str, Any] = json.loads(metadata["about"])
        self.spec = ModelSpec(**about["spec"])
        self.bos_id: int = about["bos_id"]
        self.eos_ids: list[int] = about["eos_ids"]
        self.tokenizer_json = metadata["tokenizer_json"]
        self._names: list[str] = about["names"]
        self._packed: torch.Tensor | None = tensors.pop(PACKED)
        self.packed_bytes = self._packed.nbytes
        self.inverse_frequencies = tensors.pop(FREQUENCIES)
        self._tensors = tensors
        self._model = model

    def take_packed(self) -> torch.Tensor:
        """All packed matrices in the order of ``Int8Decoder``, uint8 ``[packed_bytes]``; once, for they are large."""
        assert self._packed is not None, "the packed matrices were taken before"
        packed, self._packed = self._packed, None
        return packed

    def tensor(self, name: str) -> torch.Tensor:
        """See ``Checkpoint``."""
        kept = self._tensors.get(name)
        return open_checkpoint(self._model).tensor(name) if kept is None else kept

    def names(self) -> Iterator[str]:
        """See ``Checkpoint``."""
        return iter(self._names)


def open_prepared(model: Path, kernel: Kernel) -> PreparedCheckpoint | None:
    """What ``keep_prepared`` has kept of this very file for this kernel, or ``None``."""
    path = _prepared_path(model, kernel)
    if path is None or not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
            checkpoint = PreparedCheckpoint(model, tensors, file.metadata())
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        log.warning("%s is damaged and will be made anew: %s", path, error)
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # those not used for longest go first
    return checkpoint


def keep_prepared(model: Path, kernel: Kernel, checkpoint: Checkpoint, packed: torch.Tensor) -> Path | None:
    """Write what ``open_prepared`` reads, beside its place first. ``None`` where it cannot be kept: no disk, no room.

    Args:
        packed: the memory of all packed matrices.
    """
    path = _prepared_path(model, kernel)
    if path is None or model.stat().st_size < MIN_MODEL_BYTES:
        return None
    names = list(checkpoint.names())
    kept = {name: checkpoint.tensor(name) for name in names if name.endswith(("norm.weight", "bias"))}
    kept["model.embed_tokens.weight"] = checkpoint.tensor("model.embed_tokens.weight").to(torch.bfloat16)
    about = {
        "spec": asdict(checkpoint.spec),
        "bos_id": checkpoint.bos_id,
        "eos_ids": checkpoint.eos_ids,
        "names": names,
    }
    tensors = {**kept, PACKED: packed, FREQUENCIES: checkpoint.inverse_frequencies}
    metadata = {"about": json.dumps(about), "tokenizer_json": checkpoint.tokenizer_json}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=path.parent) as scratch:
            whole = Path(scratch) / path.name
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, whole, metadata)
            whole.replace(path)
        _forget_oldest(path.parent)
    except (OSError, SafetensorError) as error:
        log.warning("the prepared model cannot be kept, so the next start takes as long: %s", error)
        return None
    return path


def _prepared_path(model: Path, kernel: Kernel) -> Path | None:
    """Where the prepared form of a model file lies; ``None`` for folders, whose many files would have to be looked at.

    A file that has changed has another size or time, and so another name.
    """
    if not model.is_file():
        return None
    found = model.stat()
    key = (FORMAT, ABI_VERSION, kernel.weight_steps, str(model.resolve()), found.st_size, found.st_mtime_ns)
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return models_dir().parent / "prepared" / f"{model.stem}-{digest[:16]}.safetensors"


def _forget_oldest(folder: Path) -> None:
    for scratch in folder.glob(f"{SCRATCH_PREFIX}*"):
        if time.time() - scratch.stat().st_mtime > STALE_SCRATCH_S:
            shutil.rmtree(scratch, ignore_errors=True)
    files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files[MAX_PREPARED:]:
        file.unlink(missing_ok=True)
