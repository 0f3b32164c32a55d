"""`townsfolk personas watch`: what changes in a running daemon's library, as it happens."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from townsfolk.cli.say import AddressOption
from townsfolk.cli.terminal import colours_of, output_console

if TYPE_CHECKING:
    from townsfolk.v1.persona_pb2 import Persona, WatchResponse


def watch(
    personas: Annotated[
        list[str] | None, typer.Argument(help="Ids of personas. Default: all.", show_default=False)
    ] = None,
    address: AddressOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show which personas a running daemon has, and every change as it happens, until Ctrl-C.

    Example: townsfolk personas watch forest_elf old_knight
    """
    asyncio.run(_watch(personas or [], address, as_json))


async def _watch(personas: list[str], address: str | None, as_json: bool) -> None:
    from townsfolk.cli.client import Town
    from townsfolk.cli.launch import require_daemon
    from townsfolk.cli.plain import to_plain

    async with Town(await require_daemon(address)) as town:
        async for change in town.watch(personas):
            if as_json:
                typer.echo(json.dumps(to_plain(change), ensure_ascii=False))
            else:
                _print(change)


def _print(change: WatchResponse) -> None:
    from rich.text import Text

    from townsfolk.v1 import persona_pb2 as pb

    words = {
        pb.PERSONA_CHANGE_EXISTING: "is there",
        pb.PERSONA_CHANGE_ADDED: "is new",
        pb.PERSONA_CHANGE_CHANGED: "has changed",
        pb.PERSONA_CHANGE_REMOVED: "is gone",
        pb.PERSONA_CHANGE_ADAPTER_STATE: "",
    }
    console = output_console()
    if change.change == pb.PERSONA_CHANGE_SYNCED:
        console.print("watching; Ctrl-C ends it", style="dim")
        return
    persona = change.persona
    facts = [words.get(change.change, "")]
    if change.change != pb.PERSONA_CHANGE_REMOVED:
        facts.append(_adapter_in_words(persona))
    line = Text.assemble((persona.id, colours_of([persona.id])[persona.id]), " ", ", ".join(filter(None, facts)))
    console.print(line, soft_wrap=True)
    for problem in persona.problems:
        console.print(f"  {problem}", style="red", markup=False, soft_wrap=True)


def _adapter_in_words(persona: Persona) -> str:
    from townsfolk.v1 import persona_pb2 as pb

    return {
        pb.ADAPTER_STATE_NONE: "without an adapter",
        pb.ADAPTER_STATE_ON_DISK: "adapter on disk",
        pb.ADAPTER_STATE_HOST: "adapter in memory",
        pb.ADAPTER_STATE_RESIDENT: "adapter loaded",
    }.get(persona.adapter.state, "")
