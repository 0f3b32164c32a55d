"""`townsfolk status` and `townsfolk stop`: the daemon that runs, wherever it was started."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from townsfolk.cli.terminal import counted, in_seconds, labelled, output_console
from townsfolk.errors import Unavailable

if TYPE_CHECKING:
    from rich.table import Table

    from townsfolk.v1.daemon_pb2 import GetStatsResponse

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
    console.print(_table(stats))


def _table(stats: GetStatsResponse) -> Table:

    model, engine, pool, cache, town = stats.model, stats.engine, stats.adapter_pool, stats.prefix_cache, stats.town
    shared = sum(bucket.steps for bucket in engine.step_histogram if bucket.adapters_in_step >= 2)
    read = engine.prefill_tokens + engine.cached_prompt_tokens
    shared_share = shared / engine.steps if engine.steps else 0.0
    cached_share = engine.cached_prompt_tokens / read if read else 0.0
    now = f"{counted(engine.running, 'line')} running, {engine.waiting} waiting"
    most = engine.largest_batch_adapters
    adapters = f"{pool.resident} of {counted(pool.slots, 'slot')} in use, {pool.pinned} pinned"
    finished = (
        f"{town.turns_finished:,} finished ({town.turns_cancelled:,} cancelled, {town.turns_fallback:,} fallback)"
    )
    rows = [
        ("model", f"{model.name} in {model.dtype} on {model.device}, {model.context_tokens:,} tokens of context"),
        ("engine", f"{engine.name}, {counted(engine.restarts, 'restart')}"),
        ("now", f"{now}, at most {engine.max_batch_rows} together"),
        ("spoken", f"{counted(engine.decode_tokens, 'token')} in {counted(engine.steps, 'step')}"),
        ("shared steps", f"{shared_share:.0%} served two or more adapters; the most was {most}"),
        ("prompts", f"{counted(read, 'token')}, {cached_share:.0%} of them from the cache"),
        ("adapters", f"{adapters}, {pool.evictions} pushed out so far"),
        ("prefix cache", f"{cache.used_tokens:,} of {counted(cache.capacity_tokens, 'token')}"),
        ("town", f"{counted(town.personas, 'persona')}, {counted(town.sessions, 'session')}"),
        ("turns", f"{finished}, {town.turns_failed:,} failed"),
    ]
    return labelled(rows)


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
