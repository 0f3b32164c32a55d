"""`townsfolk serve`: the daemon in the foreground."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from townsfolk.cli.terminal import error_console
from townsfolk.errors import InvalidArgument

if TYPE_CHECKING:
    from townsfolk.config import Settings


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    config: Annotated[
        Path | None, typer.Option(help="Settings in TOML; options given here count more.", show_default=False)
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="host:port or unix:/path; port 0 takes any free one. Default: 127.0.0.1:50551.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="GGUF file, Hugging Face folder or name of a model. Default: the pulled one.", show_default=False
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.", show_default=False)] = None,
    personas: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of personas; may be given again. Default: ./personas, then the shipped ones.",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that callers must send.", show_default=False)
    ] = None,
    exit_when_idle: Annotated[
        float | None, typer.Option(help="Stop after so many seconds without a client.", min=0, show_default=False)
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="How much to log.")] = LogLevel.INFO,
    pull: Annotated[bool, typer.Option("--pull", help="Pull the default model if it is missing.")] = False,
    stop_on_stdin_close: Annotated[bool, typer.Option("--stop-on-stdin-close", hidden=True)] = False,
    parent_holds_stdin: Annotated[bool, typer.Option("--parent-holds-stdin", hidden=True)] = False,
) -> None:
    """Run the daemon until Ctrl-C.

    Lines in flight may end before it stops. Other commands of the same user find it by itself; games connect to its
    address.

    Example: townsfolk serve --address 127.0.0.1:50551 --personas ./personas
    """
    from townsfolk.config import read_settings

    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    overrides: dict[str, dict[str, Any]] = {
        "daemon": {"address": address, "token_file": token_file, "exit_when_idle_s": exit_when_idle},
        "engine": {"device": device},
        "personas": {"folders": personas or None},
    }
    settings = merged(read_settings(config), overrides)
    chosen = model if model is not None else settings.engine.model
    settings = merged(settings, {"engine": {"model": _model(chosen, pull)}})
    asyncio.run(_serve(settings, stop_on_stdin_close, parent_holds_stdin))


def merged(settings: Settings, overrides: dict[str, dict[str, Any]]) -> Settings:
    """Settings with what the command line says on top; ``None`` leaves a value alone. Raises ``InvalidArgument``."""
    from pydantic import ValidationError

    values = settings.model_dump()
    for section, changes in overrides.items():
        values[section] |= {key: value for key, value in changes.items() if value is not None}
    try:
        return type(settings).model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InvalidArgument(f"{key}: {first['msg']}", field=key) from error


def _model(chosen: str | Path | None, pull: bool) -> Path:
    from townsfolk.cli.models import pull_with_bar
    from townsfolk.models import DEFAULT_MODEL, resolve_model

    if chosen is None and pull and not DEFAULT_MODEL.pulled:
        return pull_with_bar(DEFAULT_MODEL, error_console())
    return resolve_model(chosen)


async def _serve(settings: Settings, stop_on_stdin_close: bool, parent_holds_stdin: bool) -> None:
    from townsfolk.cli.announced import AnnouncedDaemon
    from townsfolk.engine.choose import make_engine
    from townsfolk.pictures.choose import make_painter

    daemon = AnnouncedDaemon(
        settings, make_engine(settings.engine), await asyncio.to_thread(make_painter, settings.pictures)
    )
    if stop_on_stdin_close:
        _at_end_of_stdin(daemon.request_stop)
    elif parent_holds_stdin:  # a game that lives is a client, even between two connections
        daemon.hold()
        _at_end_of_stdin(daemon.release)
    await daemon.serve()


def _at_end_of_stdin(then: Callable[[], None]) -> None:
    """Call `then` in the event loop once the parent has closed our stdin, or died."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        with suppress(OSError, ValueError):
            while os.read(sys.stdin.fileno(), 4096):  # unbuffered, so that no lock is held at exit
                pass
        with suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(then)

    threading.Thread(target=wait, daemon=True).start()
