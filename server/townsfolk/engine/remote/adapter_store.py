"""Adapters on their way to servers: named by their content, checked, and copied to where the servers see them."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path

from townsfolk.engine.adapter_files import (
    CONFIG_FILE,
    TRAINING_FILE,
    WEIGHTS_FILE,
    AdapterConfig,
    adapter_digest,
    read_adapter_config,
)
from townsfolk.engine.messages import AdapterRef
from townsfolk.engine.remote.dialects.base import RemoteAdapter
from townsfolk.errors import FailedPrecondition, InvalidArgument

DIGEST_DIGITS = 16  # of the SHA-256 in names: enough to tell adapters apart, short enough to read
MAX_LABEL = 48
SCRATCH_PREFIX = ".incoming-"


def adapter_name(folder: Path, digest: str) -> str:
    """What an adapter is called on servers: ``forest_elf@ab12…``, the persona's folder and the digest's beginning."""
    label = folder.parent.parent.name if folder.parent.name == "adapters" else folder.name
    return re.sub(r"[^A-Za-z0-9_.-]", "_", label)[:MAX_LABEL] + digest_suffix(digest)


def digest_suffix(digest: str) -> str:
    """The end of an adapter's name, which tells its content whatever the label before it."""
    return f"@{digest[:DIGEST_DIGITS]}"


class AdapterStore:
    """Where servers find adapters: a shared folder, or the persona's own where they run on this machine."""

    def __init__(self, folder: Path | None, on_server: str, model_name: str, max_rank: int) -> None:
        self._folder = folder
        self._on_server = on_server.rstrip("/\\")
        self._model_name = model_name
        self._max_rank = max_rank

    def place(self, ref: AdapterRef, *, needs_store: bool = False, honours_patterns: bool = False) -> RemoteAdapter:
        """Check an adapter and put it where servers see it. Reads all of it, so call it in a thread.

        ``needs_store`` and ``honours_patterns``: of the dialect of the server that it is for.

        Raises ``NotFound`` or ``InvalidArgument`` for one that is missing, damaged or not supported,
        ``FailedPrecondition`` for one of another base model, one that changed on disk, or a store that is not set.
        """
        folder = Path(ref.path)
        config = read_adapter_config(folder)
        self._check(folder, config, honours_patterns)
        _check_weights(folder / WEIGHTS_FILE)
        if adapter_digest(folder) != ref.digest:
            raise FailedPrecondition(
                f"the adapter at {folder} has changed on disk; reload the persona", field="adapter"
            )
        name = adapter_name(folder, ref.digest)
        if self._folder is None and needs_store:
            raise FailedPrecondition(
                "this kind of server knows adapters by their folder alone; set engine.remote.adapter_store to a folder "
                "that it shares with the daemon",
                field="engine.remote.adapter_store",
            )
        path = str(folder.resolve()) if self._folder is None else self._copy(folder, name, ref.digest)
        size = (folder / WEIGHTS_FILE).stat().st_size
        return RemoteAdapter(name, ref.digest, folder, path, config.rank, size, ref.scale)

    def _check(self, folder: Path, config: AdapterConfig, honours_patterns: bool) -> None:
        if (config.rank_pattern or config.alpha_pattern) and not honours_patterns:
            raise FailedPrecondition(
                f"the adapter at {folder} has a rank_pattern or alpha_pattern, which this kind of server is "
                "not known to honour; train it with one rank and one alpha",
                field="adapter",
            )
        rank = max([config.rank, *config.rank_pattern.values()])
        if rank > self._max_rank:
            raise InvalidArgument(
                f"the adapter at {folder} has rank {rank}, over the limit of {self._max_rank}; raise engine.max_rank "
                "or retrain",
                field="adapter",
            )
        record = folder / TRAINING_FILE
        try:
            made_for = json.loads(record.read_text("utf-8")).get("base_model") if record.exists() else None
        except (ValueError, AttributeError, OSError) as error:
            raise InvalidArgument(f"{record} is damaged: {error}", field="adapter") from error
        if made_for is not None and made_for != self._model_name:
            raise FailedPrecondition(
                f"the adapter at {folder} was trained for {made_for}, not for {self._model_name}; train it again for "
                "this one",
                field="adapter",
            )

    def _copy(self, folder: Path, name: str, digest: str) -> str:
        """A copy in the shared folder, which appears there only when it is whole. Copies are never changed."""
        assert self._folder is not None
        target = self._folder / name
        on_server = f"{self._on_server}/{name}" if self._on_server else str(target.resolve())
        if target.is_dir():
            return on_server
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=self._folder))
            try:
                for file in (CONFIG_FILE, WEIGHTS_FILE):
                    shutil.copyfile(folder / file, scratch / file)
                if adapter_digest(scratch) != digest:
                    raise FailedPrecondition(
                        f"the adapter at {folder} is being changed; reload the persona", field="adapter"
                    )
                scratch.chmod(0o755)  # servers often run as another user
                os.replace(scratch, target)
            except OSError:
                if not target.is_dir():  # else another daemon was quicker
                    raise
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        except OSError as error:
            raise FailedPrecondition(
                f"engine.remote.adapter_store {self._folder} cannot be written: {error.strerror}",
                field="engine.remote.adapter_store",
            ) from error
        return on_server


def _check_weights(path: Path) -> None:
    """Refuse a file that servers could not read: what they say of it differs, and some say it only in their log."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise FailedPrecondition(
            "adapters for servers are checked with safetensors; install it with: pip install 'townsfolk[remote]'",
            field="adapter",
        ) from error
    try:
        with safe_open(path, framework="np") as weights:
            empty = not weights.keys()
    except (SafetensorError, OSError) as error:
        raise InvalidArgument(f"{path} is damaged or cut short: {error}", field="adapter") from error
    if empty:
        raise InvalidArgument(f"{path} holds no LoRA weights", field="adapter")
