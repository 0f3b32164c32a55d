"""Messages of the API from and to what the dialogue layer works with."""

from __future__ import annotations

import json

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from townsfolk.daemon.errors_to_status import code_number, retry_after_s
from townsfolk.dialogue.events import (
    ActionTaken,
    EmotionShown,
    FinishReason,
    SpeechDelta,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    TurnStats,
)
from townsfolk.dialogue.request import SamplingOverrides, TurnRequest
from townsfolk.errors import TownsfolkError
from townsfolk.personas.library import LoadedPersona
from townsfolk.personas.schema import ActionSpec, Sampling
from townsfolk.v1 import common_pb2, dialogue_pb2, persona_pb2

PRIORITIES: dict[int, int] = {
    common_pb2.PRIORITY_BACKGROUND: -1,
    common_pb2.PRIORITY_NORMAL: 0,
    common_pb2.PRIORITY_URGENT: 1,
}
KINDS: dict[str, persona_pb2.PersonaKind] = {
    "character": persona_pb2.PERSONA_KIND_CHARACTER,
    "task": persona_pb2.PERSONA_KIND_TASK,
}
REASONS = {
    FinishReason.STOP: common_pb2.FINISH_REASON_STOP,
    FinishReason.LENGTH: common_pb2.FINISH_REASON_LENGTH,
    FinishReason.CANCELLED: common_pb2.FINISH_REASON_CANCELLED,
    FinishReason.DEADLINE: common_pb2.FINISH_REASON_DEADLINE,
}
OPTIONAL_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "max_tokens", "seed")


def turn_request(say: dialogue_pb2.SayRequest) -> TurnRequest:
    """What a ``SayRequest`` asks for. A priority that is not known counts as normal."""
    return TurnRequest(
        persona_id=say.persona_id,
        text=say.text,
        situation=say.situation,
        session_id=say.session_id,
        turn_id=say.turn_id,
        sampling=sampling_overrides(say.sampling),
        priority=PRIORITIES.get(say.priority, 0),
        deadline_s=say.deadline_s,
        with_cues=say.with_cues,
    )


def sampling_overrides(sampling: common_pb2.SamplingParams) -> SamplingOverrides:
    """The fields that a request sets."""
    given = {name: getattr(sampling, name) for name in OPTIONAL_SAMPLING if sampling.HasField(name)}
    return SamplingOverrides(**given, stop=tuple(sampling.stop))


def fill_event(message: common_pb2.TurnEvent, event: TurnEvent) -> None:
    """Write one event of a turn into an empty message."""
    message.turn_id = event.turn_id
    message.session_id = event.session_id
    message.persona_id = event.persona_id
    message.sequence = event.sequence
    match event.what:
        case SpeechDelta(text, token_count, sampled_unix_ns):
            delta = message.speech_delta  # in place, not copied: there is one for every token
            delta.text = text
            delta.token_count = token_count
            delta.sampled_unix_ns = sampled_unix_ns
        case TurnStarted(digest, prompt_tokens, cached_tokens):
            started = common_pb2.Started(
                adapter_digest=digest,
                adapter_applied=bool(digest),
                prompt_tokens=prompt_tokens,
                cached_prompt_tokens=cached_tokens,
            )
            message.started.CopyFrom(started)
        case EmotionShown(name):
            message.emotion.name = name
        case ActionTaken(name, arguments):
            message.action.name = name
            ParseDict(arguments, message.action.arguments)
        case TurnFinished(reason, text, stats, fallback):
            finished = common_pb2.Finished(
                reason=REASONS[reason],
                text=text,
                stats=stats_message(stats),
                fallback=fallback is not None,
                fallback_reason=fallback or "",
            )
            message.finished.CopyFrom(finished)
        case TurnFailed(error):
            message.error.CopyFrom(error_message(error))


def stats_message(stats: TurnStats) -> common_pb2.TurnStats:
    """What a turn cost."""
    return common_pb2.TurnStats(
        prompt_tokens=stats.prompt_tokens,
        cached_prompt_tokens=stats.cached_prompt_tokens,
        completion_tokens=stats.completion_tokens,
        queue_s=stats.queue_s,
        time_to_first_token_s=stats.time_to_first_token_s,
        total_s=stats.total_s,
        tokens_per_s=stats.tokens_per_s,
        max_batch_rows=stats.max_batch_rows,
        max_batch_adapters=stats.max_batch_adapters,
        first_step=stats.first_step,
        last_step=stats.last_step,
        shared_steps=stats.shared_steps,
    )


def error_message(error: TownsfolkError) -> common_pb2.TurnError:
    """Why a turn failed, where the stream goes on."""
    return common_pb2.TurnError(
        code=code_number(error),
        message=error.message,
        field=error.field,
        retry_after_s=retry_after_s(error) or 0.0,
    )


def persona_message(
    persona_id: str, loaded: LoadedPersona | None, problems: tuple[str, ...], adapter_state: int
) -> persona_pb2.Persona:
    """A persona; one that cannot be read has its id and problems only."""
    message = persona_pb2.Persona(id=persona_id, problems=problems)
    if loaded is None:
        return message
    persona = loaded.persona
    message.kind = KINDS[persona.kind]
    message.name = persona.name
    message.summary = persona.summary
    message.voice = persona.voice
    message.system_prompt = persona.system
    message.emotions.extend(persona.emotions)
    message.actions.extend(action_message(action) for action in persona.actions)
    message.sampling.CopyFrom(sampling_message(persona.sampling, persona.stop))
    message.adapter.state = adapter_state  # type: ignore[assignment]
    if loaded.adapter is not None:
        message.adapter.digest = loaded.adapter.digest
        message.adapter.path = f"{persona_id}/adapters/{loaded.adapter_model}"
        message.adapter.rank = loaded.adapter_rank
        message.adapter.size_bytes = loaded.adapter_bytes
        message.adapter.base_model = loaded.adapter_model
    return message


def sampling_message(sampling: Sampling, stop: list[str]) -> common_pb2.SamplingParams:
    """A persona's own sampling."""
    return common_pb2.SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        repetition_penalty=sampling.repetition_penalty,
        max_tokens=sampling.max_tokens,
        stop=stop,
    )


def action_message(action: ActionSpec) -> persona_pb2.ActionSpec:
    """Something a persona may do; its arguments as one object schema."""
    message = persona_pb2.ActionSpec(name=action.name, description=action.description)
    if action.args:
        schema = {"type": "object", "properties": action.args, "additionalProperties": False}
        plain = json.loads(json.dumps(schema, default=str))  # TOML knows dates, JSON does not
        message.arguments_schema.CopyFrom(ParseDict(plain, Struct()))
    return message
