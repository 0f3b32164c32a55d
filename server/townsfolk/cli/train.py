"""``townsfolk train``: a persona's lines in, its LoRA adapter out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from townsfolk.cli.terminal import in_seconds, output_console
from townsfolk.errors import FailedPrecondition, NotFound

if TYPE_CHECKING:
    from townsfolk.training.trainer import Progress

NEEDED_PACKAGES = ("torch", "transformers", "peft", "matplotlib")


def train(
    persona: Annotated[str, typer.Argument(help="Persona id, or the path of its folder.", show_default=False)],
    personas: Annotated[Path, typer.Option(help="Folder in which persona ids are looked up.")] = Path("personas"),
    model: Annotated[
        Path | None,
        typer.Option(
            help="Base model: a .gguf file or a Hugging Face folder. Default: the pulled one.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the persona's lines. Default: what its persona.toml says, else 3.", show_default=False
        ),
    ] = None,
    rank: Annotated[
        int | None, typer.Option(help="LoRA rank; twice the rank, twice the file.", show_default=False)
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same adapter.")] = 0,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads. Default: all cores.", min=1, show_default=False)
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Train even if the adapter is up to date or was made elsewhere.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end and nothing else.")] = False,
) -> None:
    """Train a persona's LoRA adapter on its dialogue.jsonl (a few minutes on two cores).

    Writes PERSONA/adapters/MODEL/ with the adapter, training.json and a loss curve. A tenth of the lines is
    held out and never trained on; the loss on it, with and without the adapter, stands in training.json. The
    adapter that was there before stays until the new one is complete.

    Example: townsfolk train forest_elf --seed 7
    """
    given = {"epochs": epochs, "rank": rank, "learning_rate": learning_rate, "seed": seed}
    settings = {name: value for name, value in given.items() if value is not None}
    report = _train(_persona_folder(persona, personas), model, settings, threads, force, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))


def _train(
    folder: Path,
    model: Path | None,
    settings: dict[str, Any],
    threads: int | None,
    force: bool,
    *,
    quiet: bool,
) -> dict[str, Any]:
    _quieten_libraries()
    try:
        import torch

        from townsfolk.engine.embedded.checkpoint import open_checkpoint
        from townsfolk.personas.schema import read_persona
        from townsfolk.training.persona_run import PersonaRun
        from townsfolk.training.trainer import Settings

        for package in NEEDED_PACKAGES:
            __import__(package)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "townsfolk":
            raise
        raise FailedPrecondition(
            f"training needs the package {error.name}; run `pip install 'townsfolk[train]'`"
        ) from error
    torch.set_num_threads(threads or os.cpu_count() or 1)
    settings = {**read_persona(folder).training.model_dump(exclude_none=True), **settings}
    run = PersonaRun(folder, open_checkpoint(model or _default_model_path()), Settings(**settings))
    console = output_console()
    before = run.finished_before()
    if before is not None and not force:
        report, verb = before, "is up to date: the same lines, model and settings (--force trains again)"
    else:
        if not force:
            run.check_replaceable()
        with _progress_display(console, run.persona.name, quiet) as on_progress:
            report = run.train(on_progress)
        verb = "is trained"
    size = sum(file.stat().st_size for file in run.target.iterdir())
    if not quiet:
        console.print(f"{run.persona.name} {verb}.", markup=False, soft_wrap=True)
        console.print(
            f"  held-out loss {report['held_out_loss']:.3f}, base model {report['base_held_out_loss']:.3f}\n"
            f"  {run.target} ({size / 1e6:.2f} MB, trained in {in_seconds(report['duration_s'])})",
            markup=False,
            soft_wrap=True,
        )
    return {**report, "path": str(run.target), "bytes": size}


def _persona_folder(persona: str, personas: Path) -> Path:
    """A path if it looks like one, else an id in the folder of personas."""
    direct, by_id = Path(persona), personas / persona
    if (by_id / "persona.toml").is_file():
        return by_id.resolve()
    if (direct / "persona.toml").is_file():
        return direct.resolve()
    raise NotFound(
        f"there is no persona {persona!r} in {personas}, nor a folder of that name with a persona.toml",
        field="persona",
    )


def _default_model_path() -> Path:
    from townsfolk.models import default_model_path

    return default_model_path()


def _quieten_libraries() -> None:
    """No hub look-ups, no advisory chatter between the lines of the progress bar."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")


def _progress_display(console: Console, name: str, quiet: bool) -> AbstractContextManager[Callable[[Progress], None]]:
    if quiet:
        return nullcontext(lambda progress: None)
    if not console.is_terminal:
        return nullcontext(lambda progress: _print_epoch(console, progress))
    return _Bar(console, name)


def _print_epoch(console: Console, progress: Progress) -> None:
    if progress.epoch_ended:
        console.print(
            f"epoch {progress.epoch}/{progress.epochs}  loss {progress.loss:.3f}  "
            f"held-out {progress.held_out_loss:.3f} (base {progress.base_held_out_loss:.3f})  "
            f"{progress.tokens_per_second:.0f} tokens/s  {in_seconds(progress.remaining_s)} left",
            markup=False,
            soft_wrap=True,
        )


class _Bar(AbstractContextManager[Callable[["Progress"], None]]):
    """A bar over all steps, with the losses beside it."""

    def __init__(self, console: Console, name: str) -> None:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[details]}", markup=False),
            TimeRemainingColumn(),
            console=console,
        )
        self._name = name

    def __enter__(self) -> Callable[[Progress], None]:
        self._bar.start()
        self._task = self._bar.add_task(self._name, total=None, details="loading the model")
        return self._update

    def __exit__(self, *details: object) -> None:
        self._bar.stop()

    def _update(self, progress: Progress) -> None:
        self._bar.update(
            self._task,
            total=progress.steps,
            completed=progress.step,
            details=(
                f"epoch {progress.epoch}/{progress.epochs}  step {progress.step}/{progress.steps}  "
                f"loss {progress.loss:.3f}  held-out {progress.held_out_loss:.3f} "
                f"(base {progress.base_held_out_loss:.3f})  {progress.tokens_per_second:.0f} tokens/s"
            ),
        )
