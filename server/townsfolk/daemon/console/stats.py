"""``npc.stats``: how the town is doing, and who and what there is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from townsfolk.daemon.console import suggestions
from townsfolk.daemon.console.call import Call, as_trace, brief_id
from townsfolk.daemon.console.command import Command, Parameter
from townsfolk.daemon.console.table import Column
from townsfolk.dialogue.events import TurnFailed
from townsfolk.dialogue.trace import TurnTrace
from townsfolk.errors import InvalidArgument
from townsfolk.v1 import persona_pb2
from townsfolk.v1.daemon_pb2 import GetStatsRequest
from townsfolk.wording import in_seconds, town_in_words

MAX_ROWS = 100
STATES: dict[int, str] = {
    persona_pb2.ADAPTER_STATE_NONE: "no adapter",
    persona_pb2.ADAPTER_STATE_ON_DISK: "on disk",
    persona_pb2.ADAPTER_STATE_HOST: "in memory",
    persona_pb2.ADAPTER_STATE_RESIDENT: "loaded",
}


async def stats(call: Call) -> None:
    """The daemon's numbers, or one of the lists."""
    what = call.arguments.get("what", "town")
    if what not in TABLES:
        raise InvalidArgument(f"npc.stats knows {', '.join(TABLES)}, not {what[:60]!r}", field="what")
    await TABLES[what](call)


async def _town(call: Call) -> None:
    stats = await call.town.stats.GetStats(GetStatsRequest(), call.context)
    state = "draining" if stats.draining else "ready" if stats.engine.ready else "waiting for its engine"
    await call.output.heading(f"Townsfolk {stats.version}: {state}, up {in_seconds(stats.uptime_s)}")
    await call.output.labelled(town_in_words(stats))


async def _characters(call: Call) -> None:
    await _personas(call, persona_pb2.PERSONA_KIND_CHARACTER)


async def _tasks(call: Call) -> None:
    await _personas(call, persona_pb2.PERSONA_KIND_TASK)


async def _personas(call: Call, kind: persona_pb2.PersonaKind) -> None:
    request = persona_pb2.ListRequest(page_size=MAX_ROWS, kinds=[kind])
    page = await call.town.personas.List(request, call.context)
    columns = (Column("persona"), Column("name", elastic=True), Column("adapter"), Column("rank", right=True),
               Column("MB", right=True))  # fmt: skip
    rows = [
        (
            persona.id,
            persona.name or "cannot be read",
            STATES.get(persona.adapter.state, ""),
            str(persona.adapter.rank or ""),
            f"{persona.adapter.size_bytes / 1e6:.1f}" if persona.adapter.size_bytes else "",
        )
        for persona in page.personas
    ]
    await call.output.table(columns, rows)
    for persona in page.personas:
        for problem in persona.problems:
            await call.output.warning(f"{persona.id}: {problem}")
    if page.next_page_token:
        await call.output.detail(f"and more after {page.next_page_token}; Tab completes them all")


async def _sessions(call: Call) -> None:
    running = Counter(turn.session_id for turn in call.town.runner.registry.running)
    newest = list(call.town.runner.sessions)[::-1]
    columns = (Column("session"), Column("personas", elastic=True), Column("player", elastic=True),
               Column("exchanges", right=True), Column("running", right=True))  # fmt: skip
    rows = [
        (s.id, ", ".join(s.persona_ids), s.player_name, str(len(s.history)), str(running[s.id]))
        for s in newest[:MAX_ROWS]
    ]
    await _list(call, columns, rows, len(newest), "no session is open")


async def _turns(call: Call) -> None:
    newest = call.town.turns()
    columns = (Column("turn", elastic=True), Column("persona", elastic=True), Column("end"),
               Column("tokens", right=True),
               Column("first", right=True), Column("tok/s", right=True), Column("batch", right=True),
               Column("line", elastic=True))  # fmt: skip
    rows = [_turn_row(as_trace(turn)) for turn in newest[:MAX_ROWS]]
    await _list(call, columns, rows, len(newest), "nobody was asked for a line yet")


def _turn_row(trace: TurnTrace) -> tuple[str, ...]:
    stats = trace.stats
    return (
        brief_id(trace.id),
        trace.persona_id,
        end_in_a_word(trace),
        str(stats.completion_tokens),
        f"{stats.time_to_first_token_s:.2f}" if stats.completion_tokens else "",
        f"{stats.tokens_per_s:.0f}" if stats.tokens_per_s else "",
        str(stats.max_batch_rows or ""),
        trace.spoken,
    )


def end_in_a_word(trace: TurnTrace) -> str:
    """How the turn ended: `stop`, `length`, `cancelled`, the status it failed with, or `running`."""
    match trace.last:
        case None:
            return "running" if trace.sent_s is not None else "waiting"
        case TurnFailed(error):
            return error.status
        case finished:
            return finished.reason.value


async def _list(
    call: Call, columns: tuple[Column, ...], rows: Sequence[Sequence[str]], number: int, nothing: str
) -> None:
    if not rows:
        await call.output.plain(nothing)
        return
    await call.output.table(columns, rows)
    if number > len(rows):
        await call.output.detail(f"and {number - len(rows):,} older ones")


TABLES = {"town": _town, "personas": _characters, "tasks": _tasks, "sessions": _sessions, "turns": _turns}
STATS = Command(
    name="npc.stats",
    summary="show how the town is doing, or list personas, tasks, sessions or turns",
    run=stats,
    parameters=(
        Parameter(
            "what",
            f"{', '.join(TABLES)}; town by default",
            required=False,
            source=suggestions.choices(
                town="the daemon's numbers",
                personas="who there is, and where their adapters are",
                tasks="what the model can do beside speaking, and where the adapters are",
                sessions="open conversations",
                turns="lines of late, and those that are being spoken",
            ),
        ),
    ),
    example="npc.stats turns",
)
