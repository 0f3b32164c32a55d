"""An environment in which engine processes find the double of TensorRT-LLM and of its GPU."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DOUBLE = Path(__file__).with_name("double")


@contextmanager
def doubled(log: Path | None = None, **script: Any) -> Iterator[None]:
    """For as long as it lasts, child processes run over the double; ``script`` is what it shall do wrong.

    ``log``: a file for what the double sees; read it with ``noted``.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(DOUBLE), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("PATH", os.pathsep.join([str(DOUBLE / "bin"), os.environ["PATH"]]))
        patch.setenv("TENSORRT_LLM_DOUBLE", json.dumps(script))
        patch.setenv("TENSORRT_LLM_DOUBLE_LOG", str(log or ""))
        yield


def noted(log: Path, event: str) -> list[dict[str, Any]]:
    """All that the double wrote down of one kind of event, in order."""
    entries = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    return [entry for entry in entries if entry["event"] == event]
