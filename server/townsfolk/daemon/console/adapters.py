"""``npc.load``, ``npc.unload`` and ``npc.reload``: personas and their adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from townsfolk.daemon.console import suggestions
from townsfolk.daemon.console.call import Call
from townsfolk.daemon.console.command import Command, Parameter
from townsfolk.v1 import persona_pb2 as pb
from townsfolk.wording import in_seconds

MAX_LISTED = 50
PERSONA = Parameter("persona", "id of the persona", "persona_id", source=suggestions.personas)


async def load(call: Call) -> None:
    """Bring an adapter into the engine before its persona speaks."""
    request = pb.LoadRequest(persona_id=call.arguments["persona"])
    loaded = await call.town.personas.Load(request, call.context)
    adapter = loaded.persona.adapter
    if not adapter.digest:
        await call.output.warning(f"{loaded.persona.id} has no adapter; it speaks by its prompt alone")
    elif loaded.load_s:
        await call.output.plain(
            f"loaded {loaded.persona.id} in {in_seconds(loaded.load_s)}: rank {adapter.rank}, "
            f"{adapter.size_bytes / 1e6:.1f} MB, {adapter.digest[:12]}"
        )
    else:
        await call.output.plain(f"{loaded.persona.id} was loaded already")


async def unload(call: Call) -> None:
    """Take an adapter out of the engine."""
    request = pb.UnloadRequest(persona_id=call.arguments["persona"])
    unloaded = await call.town.personas.Unload(request, call.context)
    if not unloaded.persona.adapter.digest:
        await call.output.warning(f"{unloaded.persona.id} has no adapter")
    elif unloaded.deferred:
        await call.output.warning(f"{unloaded.persona.id} still speaks; its adapter leaves when the line ends")
    else:
        await call.output.plain(f"unloaded {unloaded.persona.id}; its next line loads it again")


async def reload(call: Call) -> None:
    """Read personas again; says what changed."""
    report = await call.town.personas.Reload(
        pb.ReloadRequest(persona_id=call.arguments.get("persona", "")), call.context
    )
    kinds = {
        "new": report.added_persona_ids,
        "changed": report.changed_persona_ids,
        "gone": report.removed_persona_ids,
    }
    for word, persona_ids in kinds.items():
        if persona_ids:
            await call.output.plain(f"{word}: {_listed(persona_ids)}")
    if report.failed_persona_ids:
        await call.output.warning(f"cannot be read and stay as they were: {_listed(report.failed_persona_ids)}")
    elif not any(kinds.values()):
        await call.output.plain("nothing has changed")


def _listed(persona_ids: Sequence[str]) -> str:
    more = len(persona_ids) - MAX_LISTED
    return ", ".join(persona_ids[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


LOAD = Command(
    name="npc.load",
    summary="bring a persona's adapter into the engine",
    run=load,
    parameters=(PERSONA,),
    example="npc.load forest_elf",
)
UNLOAD = Command(
    name="npc.unload",
    summary="take a persona's adapter out of the engine",
    run=unload,
    parameters=(PERSONA,),
    example="npc.unload forest_elf",
)
RELOAD = Command(
    name="npc.reload",
    summary="read a persona's files again, or those of all that changed",
    run=reload,
    parameters=(replace(PERSONA, required=False),),
    example="npc.reload forest_elf",
)
