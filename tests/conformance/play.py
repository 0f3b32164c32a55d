"""Plays a conversation: has the client and the daemon do what the script says, and compares what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.conformance.client_process import CONNECTION, ClientProcess
from tests.conformance.conversation import Conversation
from tests.conformance.expectation import broken_promise, difference, joined
from tests.conformance.scripted_town import ScriptedTown

WITHOUT_ANSWER = ("connect", "close", "cancel", "scene_close", "pause", "resume")
CLOSED = "(close)"


class Play:
    """One conversation of one client. Raises ``AssertionError`` where they differ."""

    def __init__(self, conversation: Conversation, client: ClientProcess, town: ScriptedTown) -> None:
        self._conversation = conversation
        self._client = client
        self._town = town
        self._asked: set[str] = set()
        self._compared: set[str] = set()
        self._connections_seen = 0

    def run(self) -> None:
        """All steps; then the client is closed, and nothing may be left over."""
        self._client.forget()
        for number, step in enumerate(self._conversation.steps, 1):
            try:
                self._step(step)
            except AssertionError as error:
                raise AssertionError(f"{self._conversation.name}, step {number}, {_shown(step)}: {error}") from error
        self._close()

    def _step(self, step: Mapping[str, Any]) -> None:
        match step:
            case {"do": command}:
                self._do(command, {key: value for key, value in step.items() if key != "do"})
            case {"town": order}:
                self._order(*order.split())
            case {"wait": "connection"}:
                self._wait_for_connection(step["for"])
            case {"wait": label}:
                self._wait(label, step["for"], step.get("text", ""))
            case {"expect": label}:
                self._expect(label, step["events"])

    def _do(self, command: str, fields: dict[str, Any]) -> None:
        if command == "close":
            self._close(running=fields.get("running", False))
            return
        if command == "connect":
            self._connections_seen = 0
            fields = {"address": self._town.address, **fields}
        elif command not in WITHOUT_ANSWER:
            assert "as" in fields, "a request needs a name: as"
            assert fields["as"] not in self._asked, "the name is taken"
            self._asked.add(fields["as"])
        if "state_of" in fields:
            state = self._client.events(fields.pop("state_of"))[-1].text("state")
            fields["state"] = _damaged(state) if fields.pop("damaged", False) else state
        self._client.send(command, fields)

    def _order(self, order: str, *names: str) -> None:
        match order:
            case "kill":
                self._town.kill()
            case "start":
                self._town.start()
            case "cut":
                self._town.cut()
            case _:
                self._town.ask(order, *names)

    def _wait_for_connection(self, state: str) -> None:
        """Until the connection is, or was since it was last asked for, in a state."""

        def reached(events: list[Any]) -> bool:
            return any(event.text("state") == state for event in events[self._connections_seen :])

        events = self._client.wait(CONNECTION, reached, f"{state!r}")
        states = [event.text("state") for event in events]
        self._connections_seen = states.index(state, self._connections_seen) + 1

    def _wait(self, label: str, kind: str, text: str) -> None:
        self._client.wait(
            label,
            lambda events: any(event.kind == kind and text in event.text() for event in joined(events)),
            f"{kind} {text!r}".rstrip(),
        )

    def _expect(self, label: str, expected: list[dict[str, Any]]) -> None:
        events = self._client.wait(label, lambda events: any(event.last for event in events), "the last event")
        wrong = difference(expected, events)
        assert not wrong, wrong
        self._compared.add(label)

    def _close(self, *, running: bool = False) -> None:
        """The client closes: no request may have gone on after its end, and none be left, except ``running`` ones."""
        self._client.send("close", {"as": CLOSED})
        self._client.wait(CLOSED, bool, "an answer")
        for label in (self._client.labels() | self._asked) - {CONNECTION, CLOSED}:
            events = self._client.events(label)
            if label in self._compared:
                broken = broken_promise(events)
                assert not broken, f"{label!r}: {broken}"
            else:
                assert running, f"the script never looks at {label!r}"
                assert not any(event.last for event in events), f"{label!r} ended before its client was closed"
        for event in self._client.events(CONNECTION):
            assert event.kind == "connection", f"an event that belongs to no request: {event}"
        self._client.forget()
        self._asked.clear()
        self._compared.clear()


def _damaged(state: str) -> str:
    """A saved session, in hexadecimal digits, with one bit in its middle turned."""
    middle = len(state) // 2
    return f"{state[:middle]}{int(state[middle], 16) ^ 1:x}{state[middle + 1 :]}"


def _shown(step: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in step.items() if key != "events")
