"""``DialogueService``: one line on one stream (Say), a whole scene on one stream (Converse), either taken up again."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

import grpc

from townsfolk.daemon.admission import Admission
from townsfolk.daemon.convert import fill_event, turn_request
from townsfolk.daemon.errors_to_status import as_townsfolk_error
from townsfolk.dialogue.events import TurnEvent, TurnFailed
from townsfolk.dialogue.heard import report_heard
from townsfolk.dialogue.outbox import MAX_WAITING_EVENTS, Outbox
from townsfolk.dialogue.resume import resumed_events
from townsfolk.dialogue.running_turn import Turn
from townsfolk.dialogue.session import ID_PATTERN
from townsfolk.dialogue.turn import TurnRunner
from townsfolk.errors import InvalidArgument, NotFound, ResourceExhausted, TownsfolkError
from townsfolk.v1.dialogue_pb2 import (
    CancelTurnRequest,
    CancelTurnResponse,
    ConverseRequest,
    ConverseResponse,
    ReportHeardRequest,
    ReportHeardResponse,
    ResumeRequest,
    ResumeResponse,
    SayRequest,
    SayResponse,
)
from townsfolk.v1.dialogue_pb2_grpc import DialogueServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class DialogueService(DialogueServiceServicer):
    """Asks personas for lines.

    Args:
        runner: runs the turns.
        admission: bounds them.
        max_stream_turns: turns at once in one Converse stream.
        max_waiting_events: events that may wait for a slow reader on one stream.
        resume_grace_s: how long turns whose stream broke run on, for ``Resume`` to take them up.
    """

    def __init__(
        self,
        runner: TurnRunner,
        admission: Admission,
        max_stream_turns: int,
        max_waiting_events: int = MAX_WAITING_EVENTS,
        resume_grace_s: float = 0.0,
    ) -> None:
        self.runner = runner
        self._admission = admission
        self.max_stream_turns = max_stream_turns
        self._max_waiting_events = max_waiting_events
        self.resume_grace_s = resume_grace_s
        self._scenes: set[Outbox] = set()

    async def Say(self, request: SayRequest, context: Context) -> None:
        """See the API."""
        outbox = Outbox(self._max_waiting_events)
        turn = self.start_turn(request, outbox, context.time_remaining())
        try:
            while events := await outbox.take():
                for event in events:
                    if isinstance(event.what, TurnFailed):
                        raise event.what.error
                    response = SayResponse()
                    fill_event(response.event, event)
                    await context.write(response)
                    if event.last:
                        return
        finally:
            turn.leave(self.resume_grace_s)  # does nothing to a turn that has ended; else the client is gone

    async def Converse(self, request_iterator: AsyncIterator[ConverseRequest], context: Context) -> None:
        """See the API."""
        scene = _Scene(self, request_iterator, context, Outbox(self._max_waiting_events))
        self._scenes.add(scene.outbox)
        try:
            await scene.play()
        finally:
            self._scenes.discard(scene.outbox)

    async def CancelTurn(self, request: CancelTurnRequest, context: Context) -> CancelTurnResponse:
        """See the API."""
        return CancelTurnResponse(cancelled=self.runner.registry.cancel(request.turn_id))

    async def ReportHeard(self, request: ReportHeardRequest, context: Context) -> ReportHeardResponse:
        """See the API."""
        heard: int | str
        match request.WhichOneof("heard"):
            case "heard_characters":
                heard = request.heard_characters
            case "heard_text":
                heard = request.heard_text
            case _:
                raise InvalidArgument("say how much was heard: heard_characters or heard_text", field="heard")
        kept = await report_heard(self.runner.registry, self.runner.sessions, request.turn_id, heard)
        return ReportHeardResponse(kept_text=kept)

    async def Resume(self, request: ResumeRequest, context: Context) -> None:
        """See the API."""
        events = resumed_events(
            self.runner.registry, self.runner.sessions, request.turn_id, request.from_sequence, self.resume_grace_s
        )
        async with aclosing(events):
            async for event in events:
                response = ResumeResponse()
                fill_event(response.event, event)
                await context.write(response)

    def end_scenes(self, error: TownsfolkError) -> None:
        """End every Converse stream, after the events that still wait in it."""
        for outbox in self._scenes:
            outbox.close(error)

    def start_turn(self, say: SayRequest, outbox: Outbox, call_deadline_s: float | None) -> Turn:
        """Admit a turn and start it. Raises what keeps it from starting."""
        try:
            request = turn_request(say)
            try:
                ticket = self._admission.admit(request.priority)
            except ResourceExhausted as refusal:
                self.runner.registry.cancel_abandoned()
                return self.runner.start(request, outbox, refusal=refusal)
            try:
                return self.runner.start(request, outbox, call_deadline_s=call_deadline_s, on_end=ticket.release)
            except BaseException:
                ticket.release()
                raise
        except TownsfolkError:
            self.runner.registry.counts.failed += 1
            raise


class _Scene:
    """One Converse stream: commands come in, the events of many turns go out."""

    def __init__(
        self,
        service: DialogueService,
        commands: AsyncIterator[ConverseRequest],
        context: Context,
        outbox: Outbox,
    ) -> None:
        self._service = service
        self._commands = commands
        self._context = context
        self._turns: dict[str, Turn] = {}
        self._half_closed = False
        self.outbox = outbox

    async def play(self) -> None:
        """Until the client half-closes and the last turn has ended, or until the client is gone."""
        reader = asyncio.create_task(self._read_commands(), name="converse reader")
        try:
            while events := await self.outbox.take():
                response = ConverseResponse()
                for event in events:
                    fill_event(response.events.add(), event)
                await self._context.write(response)
                self._close_if_over()
        finally:
            reader.cancel()
            for turn in list(self._turns.values()):
                turn.leave(self._service.resume_grace_s)

    async def _read_commands(self) -> None:
        try:
            async for command in self._commands:
                self._obey(command)
                # a client that sends and never reads gets no further: answers to commands are bounded too
                await self.outbox.wait_for_room()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.outbox.close(as_townsfolk_error(error))
            return
        self._half_closed = True
        self._close_if_over()

    def _obey(self, command: ConverseRequest) -> None:
        match command.WhichOneof("command"):
            case "say":
                self._say(command.say)
            case "cancel":
                with suppress(NotFound):
                    self._service.runner.registry.cancel(command.cancel.turn_id)
            case _:
                self._refuse("", SayRequest(), InvalidArgument("the command is not set", field="command"))

    def _say(self, say: SayRequest) -> None:
        turn_id = say.turn_id or secrets.token_hex(16)
        try:
            self._forget_ended()
            if len(self._turns) >= self._service.max_stream_turns:
                raise ResourceExhausted(f"{len(self._turns)} turns of this stream run already; wait for one to end")
            say.turn_id = turn_id
            turn = self._service.start_turn(say, self.outbox, self._context.time_remaining())
        except TownsfolkError as error:
            # an event of its own under an id that is taken would look like the end of the turn that has it
            taken = error.field == "turn_id" or not ID_PATTERN.fullmatch(turn_id)
            self._refuse("" if taken else turn_id, say, error)
            return
        self._turns[turn.id] = turn

    def _refuse(self, turn_id: str, say: SayRequest, error: TownsfolkError) -> None:
        self.outbox.put(TurnEvent(turn_id, say.session_id, say.persona_id, 0, TurnFailed(error)))

    def _forget_ended(self) -> None:
        self._turns = {turn_id: turn for turn_id, turn in self._turns.items() if not turn.ended}

    def _close_if_over(self) -> None:
        if self._half_closed and all(turn.ended for turn in self._turns.values()):
            self.outbox.close()
