"""The folder of a trained adapter: written beside its place first, then swapped in."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from townsfolk.engine.adapter_files import CONFIG_FILE, TRAINING_FILE, WEIGHTS_FILE

CURVE_FILE = "loss.png"


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """An empty folder that becomes ``target`` at the end of the block, whole, or not at all.

    What was at ``target`` stays there until then, and stays for good if the block raises or is interrupted.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        new, old = workshop / "new", workshop / "old"
        new.mkdir()
        yield new
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except BaseException:
            if old.exists():
                old.rename(target)
            raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def write_adapter(folder: Path, base_model: str, weights: dict[str, torch.Tensor], config: dict[str, Any]) -> None:
    """PEFT's two files. ``config`` holds ``r``, ``lora_alpha`` and ``target_modules``.

    PEFT's own writer adds dozens of nulls and the model's path on this machine; this says what is needed.
    """
    document = {
        "base_model_name_or_path": base_model,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
        **config,
    }
    write_json(folder / CONFIG_FILE, dict(sorted(document.items())))
    (folder / WEIGHTS_FILE).write_bytes(save(weights, metadata={"format": "pt"}))  # save_file lets only the owner read


def write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_report(folder: Path) -> dict[str, Any] | None:
    """``training.json`` of an adapter folder, none where there is none that can be read."""
    try:
        report = json.loads((folder / TRAINING_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) else None
