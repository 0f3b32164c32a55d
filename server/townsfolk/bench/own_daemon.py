"""A daemon for the length of a measurement: `townsfolk serve` in a process of its own, on a port of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from townsfolk.cli.client import Target
from townsfolk.cli.launch import spawn, stop_child, wait_until_healthy
from townsfolk.config import EngineSettings


@contextmanager
def own_daemon(folder: Path, engine: EngineSettings, personas: Path, runner: asyncio.Runner) -> Iterator[Target]:
    """Run a daemon with these engine settings and personas, and stop it at the end.

    Its state, its settings and its log lie in ``folder``; the user's own daemon is left alone. Raises ``Unavailable``
    with the daemon's own last word when it does not start.
    """
    config, log = folder / "townsfolk.toml", folder / "daemon.log"
    config.write_text(engine_table(engine), "utf-8")
    arguments = ["--config", str(config), "--address", "127.0.0.1:0", "--personas", str(personas)]
    with log.open("wb") as sink:
        child = spawn(arguments, sink, environment={"TOWNSFOLK_STATE_DIR": str(folder)})
    try:
        yield runner.run(wait_until_healthy(child, log, Console(quiet=True), folder / "daemon.json"))
    finally:
        stop_child(child)


def engine_table(engine: EngineSettings) -> str:
    """The ``[engine]`` tables of a ``townsfolk.toml`` that say the same; strings of JSON are strings of TOML."""
    values = engine.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    tables = {"engine": {key: value for key, value in values.items() if not isinstance(value, dict)}}
    tables |= {f"engine.{key}": value for key, value in values.items() if isinstance(value, dict)}
    lines: list[str] = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"
