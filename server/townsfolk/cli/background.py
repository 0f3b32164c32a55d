"""`townsfolk status` and `townsfolk stop`: the daemon that runs, wherever it was started."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from typing import Annotated

import typer

from townsfolk.cli.terminal import in_seconds, labelled, output_console
from townsfolk.errors import Unavailable
from townsfolk.wording import town_in_words

STOP_TIMEOUT_S = 30.0  # lines in flight may end first, then the engine stops
POLL_S = 0.1

AddressOption = Annotated[
    str | None,
    typer.Option(help="host:port of a daemon. Default: TOWNSFOLK_ADDRESS, else the running one.", show_default=False),
]


def status(
    address: AddressOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the daemon's numbers as one JSON object.")] = False,
) -> None:
    """Show how the running daemon is doing.

    Example: townsfolk status --json
    """
    asyncio.run(_status(address, as_json))


async def _status(address: str | None, as_json: bool) -> None:
    from townsfolk.cli.client import Town
    from townsfolk.cli.launch import require_daemon

    target = await require_daemon(address)
    async with Town(target) as town:
        stats = await town.stats()
    if as_json:
        from townsfolk.cli.plain import to_plain

        typer.echo(json.dumps({"address": target.address, **to_plain(stats)}, ensure_ascii=False, indent=2))
        return
    console = output_console()
    state = "draining" if stats.draining else "ready" if stats.engine.ready else "waiting for its engine"
    console.print(
        f"[bold]Townsfolk {stats.version}[/bold] on {target.address}: {state}, up {in_seconds(stats.uptime_s)}"
    )
    console.print()
    console.print(labelled(town_in_words(stats)))


def stop() -> None:
    """Stop the running daemon.

    Lines in flight may end first.

    Example: townsfolk stop
    """
    from townsfolk.cli.state import read_state

    state = read_state()
    if state is None:
        typer.echo("no daemon is running")
        return
    asyncio.run(_stop(state.pid))


async def _stop(pid: int) -> None:
    from townsfolk.cli.client import Town, target_of
    from townsfolk.cli.launch import port_open
    from townsfolk.cli.state import read_state, remove_state

    state = read_state()
    if state is None or state.pid != pid:
        return
    target = target_of(state)
    async with Town(target) as town:  # a pid alone may be anybody's by now
        if not port_open(target.address) or await town.health() == "silent":
            remove_state(pid)
            typer.echo("no daemon is running")
            return
        try:
            os.kill(pid, signal.SIGTERM)  # Windows ends the process at once
        except ProcessLookupError:
            remove_state(pid)
            return
        give_up = time.monotonic() + STOP_TIMEOUT_S
        while _alive(pid):
            if time.monotonic() > give_up:
                raise Unavailable(f"the daemon (process {pid}) still stops after {in_seconds(STOP_TIMEOUT_S)}")
            await asyncio.sleep(POLL_S)
    remove_state(pid)
    typer.echo(f"stopped the daemon on {target.address}")


def _alive(pid: int) -> bool:
    if os.name == "nt":  # there kill(pid, 0) would end it; SIGTERM has done that already
        return False
    with suppress(ChildProcessError):  # ours, where a test started it
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
