"""``npc.replay``: speaks a traced turn again."""

from __future__ import annotations

import asyncio

from townsfolk.daemon.console import suggestions
from townsfolk.daemon.console.call import LAST, Call, brief_id
from townsfolk.daemon.console.command import Command, Option
from townsfolk.daemon.console.kinds import NUMBER, PERSONA, WHOLE
from townsfolk.daemon.console.speech import speak
from townsfolk.daemon.console.trace import TURN, sampling_in_words
from townsfolk.dialogue.events import TurnFinished
from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.replay import replay_plan
from townsfolk.dialogue.request import SamplingOverrides, TurnRequest
from townsfolk.dialogue.trace import TurnTrace


async def replay(call: Call) -> None:
    """Speak a turn again, outside of its session: nothing is remembered of it."""
    trace = call.town.trace(call.arguments.get("turn", LAST), call.session_id)
    persona_id = call.arguments.get("persona", trace.persona_id)
    speaker = await asyncio.to_thread(call.town.library.get, persona_id)
    plan = await asyncio.to_thread(
        replay_plan,
        trace,
        speaker,
        call.town.runner.prepare(),
        seed=call.arguments.get("seed"),
        scale=call.arguments.get("scale"),
    )
    await call.output.detail(f"replaying turn {brief_id(trace.id)} of {trace.persona_id} as {persona_id}")
    await call.output.detail(sampling_in_words(plan.sampling))
    if _retrained(trace, plan, persona_id):
        await call.output.warning(f"the adapter of {persona_id} is another than then; its present one speaks")
    request = TurnRequest(
        persona_id=persona_id,
        text=trace.text,
        situation=trace.situation,
        sampling=SamplingOverrides(stop=trace.asked_stops),
    )
    last = await speak(call, request, plan)
    if isinstance(trace.last, TurnFinished) and trace.last.reason is last.reason:
        same = last.text == trace.last.text
        await call.output.detail("the same words as then" if same else "other words than then")


def _retrained(trace: TurnTrace, plan: LinePlan, persona_id: str) -> bool:
    if trace.plan is None or persona_id != trace.persona_id:
        return False
    return (trace.plan.adapter and trace.plan.adapter.digest) != (plan.adapter and plan.adapter.digest)


REPLAY = Command(
    name="npc.replay",
    summary="speak a turn again with the same prompt and seed, or with one thing changed",
    run=replay,
    parameters=(TURN,),
    options=(
        Option("seed", "another seed", WHOLE, "sampling.seed"),
        Option("persona", "another persona answers the same words", PERSONA, "persona_id", source=suggestions.personas),
        Option("scale", "how strongly the adapter is applied, 0 to 2", NUMBER, "adapter_scale"),
    ),
    example="npc.replay last --scale 0.5",
)
