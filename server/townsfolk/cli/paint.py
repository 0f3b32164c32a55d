"""`townsfolk paint`: one prompt into one picture, to try what stories are illustrated with."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from townsfolk.cli.serve import merged
from townsfolk.cli.terminal import error_console, in_seconds, output_console
from townsfolk.errors import AlreadyExists, FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from townsfolk.config import PictureSettings
    from townsfolk.pictures.painter import PaintedPicture, PictureOrder


class Kind(StrEnum):
    AUTO = "auto"
    DIFFUSERS = "diffusers"
    COMFYUI = "comfyui"
    AUTOMATIC1111 = "automatic1111"


class Memory(StrEnum):
    AUTO = "auto"
    FULL = "full"
    OFFLOAD = "offload"
    SMALLEST = "smallest"


def paint(
    prompt: Annotated[str, typer.Argument(help="What is to be seen.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Where the PNG goes.")] = Path("picture.png"),
    negative: Annotated[str | None, typer.Option(help="What is not to be seen.", show_default=False)] = None,
    style: Annotated[
        str | None, typer.Option(help="Put in front of the prompt, like 'ink and watercolour'.", show_default=False)
    ] = None,
    width: Annotated[int | None, typer.Option(help="Pixels. Default: 512.", show_default=False)] = None,
    height: Annotated[int | None, typer.Option(help="Pixels. Default: 512.", show_default=False)] = None,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps. Default: what suits the model.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed paints the same picture. Default: a fresh one.", show_default=False),
    ] = None,
    kind: Annotated[Kind | None, typer.Option(help="What to paint with. Default: auto.", show_default=False)] = None,
    model: Annotated[
        str | None,
        typer.Option(help="SDXL folder, hub name, or the server's name of a checkpoint.", show_default=False),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="URL of a ComfyUI or AUTOMATIC1111 server.", show_default=False)
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, mps, cuda or cuda:N.", show_default=False)] = None,
    memory: Annotated[
        Memory | None, typer.Option(help="How much of a card's memory the model may keep.", show_default=False)
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch a hub model that is missing (GBs).")] = False,
    config: Annotated[
        Path | None, typer.Option(help="Settings in TOML; options given here count more.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and no progress.")] = False,
) -> None:
    """Paint one picture, without a daemon.

    Uses a running ComfyUI or AUTOMATIC1111, or Stable Diffusion XL itself where the extra `pictures` is installed.
    Prompt, seed, steps and model are written into the PNG. Ctrl-C stops between two steps and writes nothing.

    Example: townsfolk paint "a lighthouse on a cliff, storm" --style "ink and watercolour" --out lighthouse.png
    """
    from townsfolk.config import read_settings
    from townsfolk.pictures.painter import PictureOrder, in_style

    if out.exists() and not force:
        raise AlreadyExists(f"{out} is there already; give another --out, or --force to replace it")
    if not out.absolute().parent.is_dir():
        raise InvalidArgument(f"there is no folder {out.parent}; make it first", field="out")
    overrides = {
        "kind": kind and kind.value,
        "model": model,
        "address": address,
        "device": device,
        "memory": memory and memory.value,
        "download": download or None,
    }
    settings = merged(read_settings(config), {"pictures": overrides}).pictures
    order = PictureOrder(
        prompt=in_style(settings.style if style is None else style, prompt),
        width=settings.width if width is None else width,
        height=settings.height if height is None else height,
        steps=steps,
        seed=secrets.randbelow(1 << 32) if seed is None else seed,
        negative_prompt=settings.negative_prompt if negative is None else negative,
    )
    started = time.monotonic()
    with _Progress(error_console(), quiet=as_json) as on_step:
        picture = asyncio.run(_paint(settings, order, on_step))
    _write(out, picture.png)
    _report(out, picture, time.monotonic() - started, as_json)


async def _paint(settings: PictureSettings, order: PictureOrder, on_step: Callable[[int, int], None]) -> PaintedPicture:
    from townsfolk.pictures.choose import HOW_TO_PAINT, make_painter

    painter = make_painter(settings)
    if painter is None:
        raise FailedPrecondition(HOW_TO_PAINT)
    try:
        return await painter.paint(order, on_step)
    finally:
        await painter.stop()


def _write(path: Path, png: bytes) -> None:
    """The whole file or none of it."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(png)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _report(out: Path, picture: PaintedPicture, seconds: float, as_json: bool) -> None:
    if as_json:
        facts = {
            "path": str(out),
            "bytes": len(picture.png),
            "width": picture.width,
            "height": picture.height,
            "seed": picture.seed,
            "steps": picture.steps,
            "seconds": round(seconds, 3),
        }
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    output_console().print(
        f"{out}: {picture.width}×{picture.height}, seed {picture.seed}, {picture.steps} steps, "
        f"{len(picture.png) / 1e3:.0f} kB in {in_seconds(seconds)}",
        markup=False,
        soft_wrap=True,
    )


class _Progress(AbstractContextManager[Callable[[int, int], None]]):
    """A bar over the steps in a terminal; elsewhere nothing."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )

    def __enter__(self) -> Callable[[int, int], None]:
        self._bar.start()
        self._task = self._bar.add_task("Loading the model", total=None)
        return self._update

    def __exit__(self, *details: object) -> None:
        self._bar.stop()

    def _update(self, step: int, steps: int) -> None:
        self._bar.update(self._task, description="Painting", completed=step, total=steps)
