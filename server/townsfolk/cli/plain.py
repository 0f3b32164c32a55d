"""API messages as plain dicts for `--json`: the names of the .proto files, numbers as numbers, enums as words."""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from townsfolk.v1.common_pb2 import TurnEvent
from townsfolk.v1.preview_pb2 import CompareResponse
from townsfolk.v1.story_pb2 import ComposeResponse


def to_plain(message: Message) -> Any:
    """Every field under its proto name, so that keys stay the same; only unset optional ones and messages are left out.

    Unlike protobuf's own JSON, 64-bit numbers are numbers, and an enum value loses its type's prefix: `stop`.
    """
    if isinstance(message, Struct):
        return _whole_numbers(MessageToDict(message))
    plain: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if not field.is_repeated:
            plain[field.name] = _plain_value(field, value)
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            item = field.message_type.fields_by_name["value"]
            plain[field.name] = {str(key): _plain_value(item, entry) for key, entry in value.items()}
        else:
            plain[field.name] = [_plain_value(field, item) for item in value]
    return plain


def event_line(event: TurnEvent) -> str:
    """One event as one line of JSON. `event` says which kind it is, and the key of that name holds the rest."""
    kind = event.WhichOneof("event") or "unknown"
    return json.dumps({"event": kind, **to_plain(event)}, ensure_ascii=False)


def compare_line(response: CompareResponse, label: str) -> str:
    """One event of one variant as one line of JSON, as ``event_line`` with its variant before and its tokens behind.

    A token's `piece` is in Base64, because it may be part of a character.
    """
    kind = response.event.WhichOneof("event") or "unknown"
    plain = {"variant_index": response.variant_index, "label": label, "event": kind, **to_plain(response.event)}
    if response.tokens:
        plain["tokens"] = [to_plain(token) for token in response.tokens]
    return json.dumps(plain, ensure_ascii=False)


def compose_line(response: ComposeResponse) -> str:
    """One event of a story as one line of JSON, as ``event_line``."""
    kind = response.WhichOneof("event") or "unknown"
    return json.dumps({"event": kind, **to_plain(response)}, ensure_ascii=False)


def _whole_numbers(value: Any) -> Any:
    """A Struct knows only doubles; `3.0` was `3` when the model wrote it."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain_value(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return to_plain(value)
    if field.enum_type is not None:
        return _enum_word(field, value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value


def _enum_word(field: Any, number: int) -> str | int:
    enum = field.enum_type
    assert enum is not None
    known = enum.values_by_number.get(number)
    if known is None:
        return number
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return str(known.name.removeprefix(prefix).lower())
