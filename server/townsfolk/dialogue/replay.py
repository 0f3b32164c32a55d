"""A traced turn, to be spoken again as it was or with one thing changed."""

from __future__ import annotations

from dataclasses import replace

from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.prompt import PromptBuilder
from townsfolk.dialogue.request import MAX_SEED, merged_stops
from townsfolk.dialogue.trace import TurnTrace
from townsfolk.dialogue.turn import system_prompt
from townsfolk.errors import FailedPrecondition, InvalidArgument
from townsfolk.personas.library import LoadedPersona

MAX_SCALE = 2.0


def replay_plan(
    trace: TurnTrace,
    speaker: LoadedPersona,
    prompts: PromptBuilder,
    *,
    seed: int | None = None,
    scale: float | None = None,
) -> LinePlan:
    """What to ask the engine for.

    By the same persona: the very tokens of the prompt and the same sampling, seed included. By another ``speaker``:
    its own system prompt before the same history and the same words, and the same sampling. The adapter is the
    speaker's present one, at ``scale`` (0 to 2; 1 by default, or what the traced turn had).

    Raises ``FailedPrecondition`` for a turn that never had a prompt, ``InvalidArgument`` for what cannot be applied.
    """
    plan = trace.plan
    if plan is None:
        raise FailedPrecondition(f"turn {trace.id} ended before its prompt was built; there is nothing to replay")
    adapter = speaker.usable_adapter()
    if scale is None:
        scale = plan.adapter.scale if plan.adapter else 1.0
    elif not 0 <= scale <= MAX_SCALE:
        raise InvalidArgument(f"an adapter's scale is 0 to {MAX_SCALE:g}, not {scale:g}", field="adapter_scale")
    elif adapter is None:
        raise InvalidArgument(f"{speaker.persona.id} has no adapter to scale", field="adapter_scale")
    if seed is not None and not 0 <= seed <= MAX_SEED:
        raise InvalidArgument("a seed is an unsigned 64-bit number", field="sampling.seed")
    sampling = plan.sampling if seed is None else replace(plan.sampling, seed=seed)
    plan = replace(plan, sampling=sampling, adapter=adapter and replace(adapter, scale=scale))
    if speaker.persona.id == trace.persona_id:
        return plan
    system = system_prompt(speaker.persona.system, trace.player_name)
    prompt = prompts.fit(system, plan.history, trace.situation, trace.text, max_tokens=sampling.max_tokens)
    stops = merged_stops(speaker.persona.stop, trace.asked_stops)
    return replace(plan, prompt=prompt.ids, history=prompt.history, stops=stops)
