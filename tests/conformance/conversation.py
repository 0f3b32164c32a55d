"""Reads the golden conversations: one TOML file each, checked so that no misspelt key is silently ignored."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tests.conformance.scripted_town import ScriptedReply

FOLDER = Path(__file__).with_name("conversations")

# What a runner can be asked to do, and the fields that each command may have.
LINE = {"persona", "text", "situation", "session", "turn", "deadline_s", "priority", "seed", "max_tokens"}
COMMANDS: dict[str, set[str]] = {
    "connect": {"address", "token"},
    "close": {"running"},
    "list_personas": set(),
    "get_stats": set(),
    "open_session": {"session", "persona", "player"},
    "close_session": {"session"},
    "save_session": {"session"},
    "restore_session": {"session", "state_of", "damaged"},
    "fork_session": {"session", "copy"},
    "say": LINE,
    "scene_open": set(),
    "scene_say": LINE | {"scene"},
    "scene_close": {"scene"},
    "cancel": {"request"},
    "heard": {"turn", "characters"},
    "compare": {"text", "situation", "session", "variant", "top_tokens", "seed"},
    "compose": {"idea", "narrator", "pictures", "width", "height", "picture_seed"},
    "execute": {"line", "session"},
    "complete": {"line", "cursor", "session"},
    "pause": set(),
    "resume": set(),
}
TOWN_ORDERS = ("kill", "start", "open", "die", "come_back", "rest", "cut")
ACTIONS = {  # the key that makes a step what it is, and the keys that may stand beside it
    "do": set(),
    "wait": {"for", "text"},
    "expect": {"events"},
    "town": set(),
}


@dataclass(frozen=True)
class Conversation:
    """A script, what it promises, and what is expected to come of it."""

    name: str
    promise: str
    steps: list[dict[str, Any]]
    replies: list[ScriptedReply]
    daemon: dict[str, Any]
    relay: bool


def read_conversation(path: Path) -> Conversation:
    """A conversation file. Raises ``ValueError`` that says what is wrong with it."""
    document = _long(tomllib.loads(path.read_text("utf-8")))
    if unknown := set(document) - {"promise", "daemon", "relay", "replies", "steps"}:
        raise ValueError(f"{path.name}: unknown keys {unknown}")
    steps = [expanded for step in document["steps"] for expanded in _repeated(step)]
    for number, step in enumerate(steps, 1):
        if wrong := _wrong(step):
            raise ValueError(f"{path.name}: step {number}: {wrong}")
    return Conversation(
        name=path.stem,
        promise=document["promise"],
        steps=steps,
        replies=[_reply(reply, path) for entry in document.get("replies", []) for reply in _repeated(entry)],
        daemon=document.get("daemon", {}),
        relay=document.get("relay", False),
    )


def all_conversations() -> list[Path]:
    """Every conversation, in order of their names."""
    return sorted(FOLDER.glob("*.toml"))


def _wrong(step: Mapping[str, Any]) -> str:
    actions = [action for action in ACTIONS if action in step]
    if len(actions) != 1:
        return f"it must have one of {', '.join(ACTIONS)}"
    action = actions[0]
    allowed = ACTIONS[action] | {action}
    if action == "do":
        if step["do"] not in COMMANDS:
            return f"{step['do']!r} is no command"
        allowed |= COMMANDS[step["do"]] | {"as"}
    if action == "town" and step["town"].split()[0] not in TOWN_ORDERS:
        return f"{step['town']!r} is no order"
    if action == "expect" and not all("event" in event for event in step.get("events", [{}])):
        return "it must have events, and each of them its event"
    unknown = set(step) - allowed
    return f"unknown keys {unknown}" if unknown else ""


def _reply(entry: Mapping[str, Any], path: Path) -> ScriptedReply:
    if unknown := set(entry) - {field.name for field in fields(ScriptedReply)}:
        raise ValueError(f"{path.name}: a reply has unknown keys {unknown}")
    when = entry.get("when", [])
    return ScriptedReply(**{**entry, "when": tuple([when] if isinstance(when, str) else when)})


def _long(value: Any) -> Any:
    """``{ of = "ab", times = 3 }`` is ``"ababab"``."""
    match value:
        case {"of": str(text), "times": int(times)}:
            return text * times
        case dict():
            return {key: _long(inner) for key, inner in value.items()}
        case list():
            return [_long(inner) for inner in value]
    return value


def _repeated(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entry; with ``repeat = 3`` three of it, in whose texts ``{n}`` is 1, 2 and 3."""
    plain = {key: value for key, value in entry.items() if key != "repeat"}
    if "repeat" not in entry:
        return [plain]
    return [_numbered(plain, number) for number in range(1, entry["repeat"] + 1)]


def _numbered(value: Any, number: int) -> Any:
    match value:
        case str():
            return value.replace("{n}", str(number))
        case dict():
            return {key: _numbered(inner, number) for key, inner in value.items()}
        case list():
            return [_numbered(inner, number) for inner in value]
    return value
