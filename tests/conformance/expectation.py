"""Compares what a client reported of one request with what a conversation expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tests.conformance.client_process import Reported
from tests.conformance.protocol import encode_line, texts_of

# Pieces of text that may be cut anywhere: expected as one event with the whole text.
PIECES = {"speech_delta": "speech", "console_output": "output"}
TURN_ENDS = ("finished", "error")


def difference(expected: Sequence[Mapping[str, Any]], events: Sequence[Reported]) -> str:
    """What is wrong with the events, in words; empty if nothing is.

    Fields that are not expected may have any value. An expected event with ``optional = true`` may be missing. A field
    ``x_has`` asks for a part of ``x``.
    """
    came = joined(events)
    place = 0
    for wanted in expected:
        optional = wanted.get("optional", False)
        wrong = _mismatch(wanted, came[place]) if place < len(came) else "nothing more came"
        if not wrong:
            place += 1
        elif not optional:
            return _report(f"event {place + 1}: {wrong}", expected, came)
    if place < len(came):
        return _report(f"event {place + 1} was not expected", expected, came)
    return ""


def joined(events: Sequence[Reported]) -> list[Reported]:
    """The events with pieces in a row put together, and all that was told of tokens as one event at the end."""
    result: list[Reported] = []
    tokens: list[str] = []
    for event in events:
        kind = PIECES.get(event.kind, event.kind)
        if kind == "tokens":
            tokens += texts_of(event.fields["token"])
        elif kind != event.kind and result and result[-1].kind == kind:
            result[-1] = Reported(kind, {**event.fields, "text": result[-1].text() + event.text()})
        else:
            result.append(Reported(kind, event.fields))
    return [*result, Reported("tokens", {"token": tokens})] if tokens else result


def broken_promise(events: Sequence[Reported]) -> str:
    """What every request is held to, whatever a conversation expects of it; empty if it keeps to that.

    Exactly one last event, the last one. In a turn: ids that stay the same, numbers without gaps, deltas that are whole
    text and together are the line.
    """
    ends = [place for place, event in enumerate(events) if event.last]
    if ends != [len(events) - 1]:
        return f"{len(ends)} last events" if len(ends) != 1 else "an event after the last one"
    for key in ("turn", "session", "persona"):
        named = {event.text(key) for event in events if "turn" in event.fields and key in event.fields}
        if len(named) > 1:
            return f"its {key} changes: {', '.join(sorted(named))}"
    numbers = [int(event.text("sequence")) for event in events if "sequence" in event.fields]
    if any(later != earlier + 1 for earlier, later in pairwise(numbers)):
        return f"the numbers of its events have gaps: {numbers}"
    deltas = [event.text() for event in events if event.kind == "speech_delta"]
    if not all(deltas):
        return "an empty delta"
    if any("\ufffd" in delta for delta in deltas):
        return "a delta with half a character"
    if events[-1].kind == "finished" and "".join(deltas) != events[-1].text():
        return f"its deltas are {''.join(deltas)!r}, and its line is {events[-1].text()!r}"
    return ""


def _mismatch(wanted: Mapping[str, Any], came: Reported) -> str:
    if wanted["event"] != came.kind:
        return f"{came.kind} instead of {wanted['event']}"
    for key, value in wanted.items():
        if key in ("event", "optional"):
            continue
        name = key.removesuffix("_has")
        found = texts_of(came.fields.get(name))
        if key != name:
            if not all(any(part in text for text in found) for part in texts_of(value)):
                return f"{name} is {found}, without {value!r}"
        elif found != (texts_of(value) if value != "" else []) and found != texts_of(value):
            return f"{name} is {found} instead of {texts_of(value)}"
    return ""


def _report(what: str, expected: Sequence[Mapping[str, Any]], came: Sequence[Reported]) -> str:
    wanted = "\n".join(
        f"  {encode_line(str(e['event']), {k: v for k, v in e.items() if k != 'event'})}" for e in expected
    )
    told = "\n".join(f"  {encode_line(event.kind, event.fields)}" for event in came) or "  nothing"
    return f"{what}\nexpected:\n{wanted}\ncame:\n{told}"
