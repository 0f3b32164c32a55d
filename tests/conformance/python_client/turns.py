"""Lines, alone and in scenes: asked for, taken up again where their stream broke, cancelled."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc

from tests.conformance.python_client.calls import RETRY_S, Calls, nobody_there
from tests.conformance.python_client.events import report, report_event
from townsfolk.v1 import common_pb2, dialogue_pb2
from townsfolk.v1.dialogue_pb2_grpc import DialogueServiceStub

TURN_TIMEOUT_S = 120.0
GRACE_S = 5.0  # a line past its deadline may still end with a fallback line
NOT_KNOWN = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED)


class Turn:
    """A line that was asked for, and what of it has come."""

    def __init__(self, label: str, request: dialogue_pb2.SayRequest) -> None:
        self.label = label
        self.request = request
        self.request.turn_id = request.turn_id or uuid.uuid4().hex  # to cancel it before its first event
        self.until = time.monotonic() + (request.deadline_s or TURN_TIMEOUT_S) + GRACE_S
        self.next = 0  # the number of the event that is to come
        self.text = ""
        self.ended = False

    def tell(self, event: common_pb2.TurnEvent) -> None:
        """Report an event."""
        self.next = event.sequence + 1
        self.text += event.speech_delta.text
        self.ended = event.WhichOneof("event") in ("finished", "error")
        report_event(self.label, event)

    def tell_cancelled(self) -> None:
        """Report that it was given up before the daemon had said so."""
        if not self.ended:
            self.ended = True
            report("finished", self.label, reason="cancelled", text=self.text, last=True)


class Speaking:
    """Has lines spoken."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._stub: Any = DialogueServiceStub(calls.channel)

    async def say(self, turn: Turn, broken: Any = None) -> None:
        """Ask for a line and report it; take up what ``broke``. Raises what it fails with.

        Where the daemon has never heard of the line, and nothing of it was heard here, it is asked for anew.
        """
        while not turn.ended:
            try:
                async for response in self._calls.stream(*self._call(turn, broken), turn.until):
                    turn.tell(response.event)
                    broken = None
            except grpc.RpcError as error:
                told_twice = broken is not None and error.details() == broken.details()
                if broken is not None and (error.code() in NOT_KNOWN or told_twice):
                    if turn.next > 0:
                        raise broken from error
                    turn.request.turn_id = uuid.uuid4().hex  # the daemon takes no id twice
                    broken = None
                elif nobody_there(error):
                    broken = error
                else:
                    raise
                if time.monotonic() + RETRY_S > turn.until:
                    raise
                await asyncio.sleep(RETRY_S)

    async def hold_scene(self, scene: Scene) -> None:
        """Carry a scene until it is closed and all of its lines have ended. Raises what it fails with."""
        taken_up: list[asyncio.Task[None]] = []
        try:
            while True:
                try:
                    until = time.monotonic() + TURN_TIMEOUT_S
                    async for response in self._calls.stream(self._stub.Converse, scene.requests(), until):
                        for event in response.events:
                            scene.tell(event)
                    break
                except grpc.RpcError as error:
                    if not nobody_there(error):
                        raise
                    taken_up += [asyncio.create_task(self.say(turn, error)) for turn in scene.let_go()]
                    await asyncio.sleep(RETRY_S)
            await asyncio.gather(*taken_up)
        finally:
            for task in taken_up:
                task.cancel()

    async def cancel(self, turn: Turn) -> bool:
        """Cancel a line wherever it is spoken; false if the daemon does not know it, or is gone."""
        try:
            request = dialogue_pb2.CancelTurnRequest(turn_id=turn.request.turn_id)
            await self._calls.once(self._stub.CancelTurn, request)
        except grpc.RpcError:
            return False
        return True

    async def heard(self, turn_id: str, characters: int) -> str:
        """Say how much was heard; returns what is remembered."""
        request = dialogue_pb2.ReportHeardRequest(turn_id=turn_id, heard_characters=characters)
        answer = await self._calls.ask(self._stub.ReportHeard, request)
        return str(answer.kept_text)

    def _call(self, turn: Turn, broken: Any) -> tuple[Any, Any]:
        if broken is None:
            return self._stub.Say, turn.request
        request = dialogue_pb2.ResumeRequest(turn_id=turn.request.turn_id, from_sequence=turn.next)
        return self._stub.Resume, request


class Scene:
    """A Converse stream: what is sent into it, and whose events come out."""

    def __init__(self) -> None:
        self.turns: dict[str, Turn] = {}  # by turn id, while they run on this stream
        self._commands: asyncio.Queue[Any] = asyncio.Queue()
        self._closing = False

    def say(self, turn: Turn) -> None:
        self.turns[turn.request.turn_id] = turn
        self._commands.put_nowait(dialogue_pb2.ConverseRequest(say=turn.request))

    def cancel(self, turn: Turn) -> None:
        cancel = dialogue_pb2.CancelTurnRequest(turn_id=turn.request.turn_id)
        self._commands.put_nowait(dialogue_pb2.ConverseRequest(cancel=cancel))

    def close(self) -> None:
        """Ask for nothing more."""
        self._closing = True
        self._commands.put_nowait(None)

    def let_go(self) -> list[Turn]:
        """The stream broke: its lines, and nothing of what was to be sent."""
        turns, self.turns = list(self.turns.values()), {}
        self._commands = asyncio.Queue()
        if self._closing:
            self.close()
        return turns

    def tell(self, event: common_pb2.TurnEvent) -> None:
        """Report an event of one of the lines."""
        turn = self.turns[event.turn_id]
        turn.tell(event)
        if turn.ended:
            del self.turns[event.turn_id]

    async def requests(self) -> AsyncIterator[dialogue_pb2.ConverseRequest]:
        """What is sent, until nothing more will be."""
        commands = self._commands
        while (command := await commands.get()) is not None:
            yield command
