"""``npc.cancel``: ends turns that run."""

from __future__ import annotations

from townsfolk.daemon.console import suggestions
from townsfolk.daemon.console.call import Call
from townsfolk.daemon.console.command import Command, Parameter
from townsfolk.wording import counted

ALL = "all"


async def cancel(call: Call) -> None:
    """End one turn, or all. Whoever asked for it gets what was said until then."""
    name = call.arguments["turn"]
    if name == ALL:
        running = list(call.town.runner.registry.running)
        await call.output.plain(f"cancelled {counted(sum(turn.cancel() for turn in running), 'turn')}")
        return
    turn = call.town.running_turn(name)
    turn.cancel()
    await call.output.plain(f"cancelled turn {turn.id} of {turn.persona_id}")


CANCEL = Command(
    name="npc.cancel",
    summary="end a turn that runs, or all of them",
    run=cancel,
    parameters=(
        Parameter("turn", "id of the turn, its beginning, or all", "turn_id", source=suggestions.running_turns),
    ),
    example="npc.cancel all",
)
