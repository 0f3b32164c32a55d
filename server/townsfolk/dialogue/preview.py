"""One line in many versions at once: plans all of them, then hands them to the engine together.

The variants of a comparison are turns like any other, but belong to no session and leave nothing behind. All prompts
are built before the first one goes to the engine, so that the lines start in the same step and decode side by side.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from townsfolk.dialogue.comparison import Comparison, Variant, VariantKind, sampling_over
from townsfolk.dialogue.outbox import Outbox
from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.prompt import Exchange
from townsfolk.dialogue.request import merged_sampling, merged_stops
from townsfolk.dialogue.running_turn import Turn
from townsfolk.dialogue.session import Session
from townsfolk.dialogue.turn import ENGINE_RETRY_S, TurnRunner, system_prompt
from townsfolk.engine.interface import Engine
from townsfolk.engine.messages import AdapterRef
from townsfolk.errors import FailedPrecondition, InvalidArgument, TownsfolkError, Unavailable, from_status
from townsfolk.personas.library import LoadedPersona, PersonaLibrary
from townsfolk.personas.schema import Sampling

PRIORITY = -1  # chatter: no player waits for a preview


class PreviewRunner:
    """Starts comparisons.

    Args:
        runner: runs the turns.
        engine: that the runner asks.
        library: of the personas.
    """

    def __init__(self, runner: TurnRunner, engine: Engine, library: PersonaLibrary) -> None:
        self._runner = runner
        self._engine = engine
        self._library = library

    async def start(
        self,
        comparison: Comparison,
        outbox: Outbox,
        *,
        call_deadline_s: float | None = None,
        on_end: Sequence[Callable[[], None]],
    ) -> list[Turn]:
        """Start a turn for each variant of a ``checked`` comparison, in their order, all or none.

        ``on_end``: one for each variant, called after its last event. What is wrong with any variant is raised, its
        field named as in ``variants[2].persona_id``; what goes wrong once all have started ends that one's turn.
        """
        turns = [
            Turn(secrets.token_hex(16), variant.persona_id, None, outbox, end,
                 text=comparison.text, situation=comparison.situation, may_fall_back=False, kept=False)
            for variant, end in zip(comparison.variants, on_end, strict=True)
        ]  # fmt: skip
        if not self._engine.ready:
            raise Unavailable(
                "the engine is loading or being started again; try again shortly", retry_after_s=ENGINE_RETRY_S
            )
        session = self._runner.sessions.get(comparison.session_id) if comparison.session_id else None
        histories = [_history(session, comparison, index) for index in range(len(turns))]
        plans = await asyncio.to_thread(self._plan_all, comparison, session, histories)
        for turn, plan in zip(turns, plans, strict=True):
            self._runner.start_planned(turn, plan, priority=PRIORITY, call_deadline_s=call_deadline_s)
        return turns

    def _plan_all(
        self, comparison: Comparison, session: Session | None, histories: list[list[Exchange]]
    ) -> list[LinePlan]:
        player_name = session.player_name if session else ""
        plans = []
        for index, history in enumerate(histories):
            try:
                plans.append(self._plan(comparison, comparison.variants[index], player_name, history))
            except Unavailable:
                raise
            except TownsfolkError as error:
                field = _field_at_fault(comparison, index, error.field)
                raise from_status(error.status, f"variants[{index}]: {error.message}", field=field) from error
        return plans

    def _plan(self, comparison: Comparison, variant: Variant, player_name: str, history: list[Exchange]) -> LinePlan:
        prompts = self._runner.prepare()
        loaded = self._library.get(variant.persona_id) if variant.kind is not VariantKind.BASE else None
        asked = sampling_over(comparison.sampling, variant.sampling)
        sampling = merged_sampling(loaded.persona.sampling if loaded else Sampling(), asked)  # type: ignore[call-arg]
        prompts.check_reply(sampling.max_tokens)
        system = ""
        if loaded is not None and variant.kind.has_prompt:
            own = loaded.persona.system if variant.system_prompt is None else variant.system_prompt
            system = system_prompt(own, player_name)
        return LinePlan(
            prompt=prompts.build(
                system, history, comparison.situation, comparison.text, max_tokens=sampling.max_tokens
            ),
            sampling=sampling,
            stops=merged_stops(loaded.persona.stop if loaded else [], asked.stop),
            adapter=_adapter(variant, loaded, self._library.model_name) if loaded else None,
            top_tokens=comparison.top_tokens,
        )


def _adapter(variant: Variant, loaded: LoadedPersona, model_name: str) -> AdapterRef | None:
    """The adapter of a variant at its scale; ``None`` where the base model speaks."""
    if not variant.kind.has_adapter:
        return None
    adapter_alone = variant.kind is VariantKind.ADAPTER_ONLY
    adapter = loaded.required_adapter() if adapter_alone else loaded.usable_adapter()
    if adapter is None and adapter_alone:
        raise FailedPrecondition(
            f"{variant.persona_id} has no adapter for {model_name}; train one with "
            f"`townsfolk train {variant.persona_id}`, or use its prompt",
            field="persona_id",
        )
    scale = 1.0 if variant.adapter_scale is None else variant.adapter_scale
    return replace(adapter, scale=scale) if adapter is not None and scale > 0 else None


def _history(session: Session | None, comparison: Comparison, index: int) -> list[Exchange]:
    """What the line follows: what its persona remembers of the session.

    The base model, and a persona that takes no part, follow the memory of the one that does. Raises
    ``InvalidArgument`` where it is not clear which one that is.
    """
    if session is None:
        return []
    taking_part = set(session.persona_ids)
    own = comparison.variants[index].persona_id
    listeners = {own} & taking_part or {v.persona_id for v in comparison.variants} & taking_part or taking_part
    if len(listeners) > 1:
        raise InvalidArgument(
            f"variants[{index}]: {own or 'the base model'} has no memory of its own of session {session.id}, and "
            f"{', '.join(sorted(listeners))} remember different things; compare with one of them at a time",
            field=f"variants[{index}].persona_id",
        )
    return session.exchanges_of(listeners.pop())


def _field_at_fault(comparison: Comparison, index: int, field: str) -> str:
    """Where in the request it stands what an error of one variant's plan complains of."""
    place, variant = f"variants[{index}]", comparison.variants[index]
    if field == "sampling.max_tokens":
        if variant.sampling.max_tokens is None and comparison.sampling.max_tokens is not None:
            return field
        return f"{place}.{field}"
    if field == "text":
        return f"{place}.system_prompt" if variant.system_prompt else field
    return f"{place}.persona_id"
