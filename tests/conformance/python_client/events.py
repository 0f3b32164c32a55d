"""Messages of the API as events for the driver, and the driver's fields as messages."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.json_format import MessageToJson
from google.rpc import error_details_pb2, status_pb2

from tests.conformance.protocol import Value, encode_line
from townsfolk.v1 import common_pb2, dialogue_pb2, preview_pb2

Fields = dict[str, Value]


def report(kind: str, label: str = "", **fields: object) -> None:
    """Write an event."""
    print(encode_line(kind, {"of": label or None, **fields}), flush=True)


def report_event(label: str, event: common_pb2.TurnEvent) -> None:
    """Write what happened in a turn."""
    who = {"turn": event.turn_id, "session": event.session_id, "persona": event.persona_id, "sequence": event.sequence}
    kind = event.WhichOneof("event")
    what = getattr(event, kind)
    match kind:
        case "started":
            report(kind, label, adapter_applied=what.adapter_applied, **who)
        case "speech_delta":
            report(kind, label, text=what.text, **who)
        case "emotion":
            report(kind, label, text=what.name, **who)
        case "action":
            report(kind, label, text=what.name, json=MessageToJson(what.arguments, indent=None), **who)
        case "finished":
            reason = common_pb2.FinishReason.Name(what.reason).removeprefix("FINISH_REASON_").lower()
            report(kind, label, reason=reason, text=what.text, fallback=what.fallback_reason, last=True, **who)
        case "error":
            status = next(code.name for code in grpc.StatusCode if code.value[0] == what.code)
            report(kind, label, status=status, text=what.message, field=what.field, last=True, **who)


def report_error(label: str, error: Any) -> None:
    """Write that a call failed."""
    report("error", label, status=error.code().name, text=error.details(), field=_field(error), last=True)


def say_request(fields: Fields) -> dialogue_pb2.SayRequest:
    """The line that is asked for."""
    sampling = {name: int(str(fields[name])) for name in ("seed", "max_tokens") if name in fields}
    priority = f"PRIORITY_{str(fields.get('priority', 'unspecified')).upper()}"
    return dialogue_pb2.SayRequest(
        session_id=fields.get("session"),
        persona_id=fields.get("persona"),
        text=fields.get("text"),
        situation=fields.get("situation"),
        turn_id=fields.get("turn"),
        deadline_s=float(str(fields.get("deadline_s", 0))),
        priority=common_pb2.Priority.Value(priority),
        sampling=common_pb2.SamplingParams(**sampling) if sampling else None,
    )


def variant(text: str) -> preview_pb2.Variant:
    """``persona kind [scale]``; the persona is ``-`` where there is none."""
    persona, kind, *scale = text.split(" ")
    return preview_pb2.Variant(
        persona_id="" if persona == "-" else persona,
        kind=preview_pb2.VariantKind.Value(f"VARIANT_KIND_{kind.upper()}"),
        adapter_scale=float(scale[0]) if scale else None,
    )


def _field(error: Any) -> str:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                bad = error_details_pb2.BadRequest()
                if detail.Unpack(bad):
                    return str(bad.field_violations[0].field)
    return ""
