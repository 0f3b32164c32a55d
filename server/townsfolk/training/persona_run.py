"""One training run from a persona's folder to its adapter's folder: what ``townsfolk train`` does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from townsfolk.dialogue.prompt import PromptBuilder
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine.adapter_files import TRAINING_FILE
from townsfolk.engine.embedded.checkpoint import Checkpoint, fingerprint
from townsfolk.errors import FailedPrecondition
from townsfolk.personas.dialogue_file import DIALOGUE_FILE
from townsfolk.personas.schema import read_persona
from townsfolk.training.adapter_files import (
    CURVE_FILE,
    read_report,
    replaced_folder,
    write_adapter,
    write_json,
)
from townsfolk.training.base_model import build_model, training_device, training_dtype
from townsfolk.training.dataset import data_digest, read_dialogue, split, tokenise
from townsfolk.training.loss_curve import draw_loss_curve
from townsfolk.training.trainer import TARGET_MODULES, Progress, Settings, Trained, train_adapter


class PersonaRun:
    """A prepared run: everything is read and checked, nothing is trained or written yet.

    Raises ``InvalidArgument`` for a bad persona or bad examples.
    """

    def __init__(self, folder: Path, checkpoint: Checkpoint, settings: Settings) -> None:
        self.persona = read_persona(folder)
        self.settings = settings
        self.target = folder / "adapters" / checkpoint.spec.name
        self._checkpoint = checkpoint
        examples = read_dialogue(folder / DIALOGUE_FILE)
        training, held_out = split(examples)
        self.prompts = PromptBuilder(
            TextTokenizer(checkpoint.tokenizer_json), checkpoint.spec.family, checkpoint.spec.max_context
        )
        self._training = tokenise(training, self.persona.system, self.prompts)
        self._held_out = tokenise(held_out, self.persona.system, self.prompts)
        # what decides the outcome: a run with the same recipe would make the same adapter again
        self._recipe: dict[str, Any] = {
            "base_model": checkpoint.spec.name,
            "base_fingerprint": fingerprint(checkpoint),
            "data_digest": data_digest(self.persona.system, examples),
            **asdict(settings),
            "alpha": settings.alpha,
            "target_modules": list(TARGET_MODULES),
        }

    def finished_before(self) -> dict[str, Any] | None:
        """The report of the adapter that is already there, if it was made by this very recipe."""
        report = read_report(self.target)
        if report is None or any(report.get(key) != value for key, value in self._recipe.items()):
            return None
        return report

    def check_replaceable(self) -> None:
        """Raises ``FailedPrecondition`` where the adapter in the way was not made by this command."""
        if self.target.exists() and read_report(self.target) is None:
            raise FailedPrecondition(
                f"{self.target} holds an adapter that this command did not train; --force replaces it",
                field="persona",
            )

    def train(self, on_progress: Callable[[Progress], None] = lambda progress: None) -> dict[str, Any]:
        """Train, write the adapter's folder, and return what stands in its ``training.json``."""
        started = time.monotonic()
        device = training_device()
        model = build_model(self._checkpoint, device, training_dtype(device))
        trained = train_adapter(model, self._training, self._held_out, self.settings, on_progress)
        report = self._report(trained, time.monotonic() - started, str(device), str(model.dtype))
        config = {
            "r": self.settings.rank,
            "lora_alpha": self.settings.alpha,
            "target_modules": sorted(TARGET_MODULES),
        }
        base_model = self._checkpoint.spec.name
        with replaced_folder(self.target) as folder:
            write_adapter(folder, base_model, trained.weights, config)
            draw_loss_curve(
                folder / CURVE_FILE, self.persona.name, base_model, trained.epochs, trained.base_held_out_loss
            )
            write_json(folder / TRAINING_FILE, report)
        return report

    def _report(self, trained: Trained, duration_s: float, device: str, dtype: str) -> dict[str, Any]:
        return {
            "persona": self.persona.id,
            **self._recipe,
            "examples": {"training": len(self._training), "held_out": len(self._held_out)},
            "steps": trained.steps,
            "tokens": trained.tokens,
            "base_held_out_loss": round(trained.base_held_out_loss, 4),
            "held_out_loss": round(trained.held_out_loss, 4),
            "loss_per_epoch": [
                {"epoch": e.epoch, "training": round(e.train, 4), "held_out": round(e.held_out, 4)}
                for e in trained.epochs
            ],
            "duration_s": round(duration_s, 1),
            "device": device,
            "dtype": dtype.removeprefix("torch."),
            "versions": {package: version(package) for package in ("torch", "peft", "transformers")},
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
