"""A client as the driver knows it: requests with names, of which events come by themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.json_format import MessageToJson

from tests.conformance.protocol import texts_of
from tests.conformance.python_client.calls import Calls
from tests.conformance.python_client.events import (
    Fields,
    report,
    report_error,
    report_event,
    say_request,
    variant,
)
from tests.conformance.python_client.stories import STORY_TIMEOUT_S, StoryTeller, compose_request
from tests.conformance.python_client.turns import TURN_TIMEOUT_S, Scene, Speaking, Turn
from townsfolk.v1 import console_pb2, daemon_pb2, persona_pb2, preview_pb2, session_pb2
from townsfolk.v1.console_pb2_grpc import ConsoleServiceStub
from townsfolk.v1.daemon_pb2_grpc import DaemonServiceStub
from townsfolk.v1.persona_pb2_grpc import PersonaServiceStub
from townsfolk.v1.preview_pb2_grpc import PreviewServiceStub
from townsfolk.v1.session_pb2_grpc import SessionServiceStub
from townsfolk.v1.story_pb2_grpc import StoryServiceStub


class Client:
    """A connection and all that runs on it."""

    def __init__(self, address: str, token: str) -> None:
        self._calls = Calls(address, token)
        self._speaking = Speaking(self._calls)
        self._sessions: Any = SessionServiceStub(self._calls.channel)
        self._personas: Any = PersonaServiceStub(self._calls.channel)
        self._preview: Any = PreviewServiceStub(self._calls.channel)
        self._console: Any = ConsoleServiceStub(self._calls.channel)
        self._daemon: Any = DaemonServiceStub(self._calls.channel)
        self._stories: Any = StoryServiceStub(self._calls.channel)
        self._turns: dict[str, Turn] = {}
        self._scenes: dict[str, Scene] = {}
        self._requests: dict[str, asyncio.Task[None]] = {}
        self._background = {asyncio.create_task(self._calls.watch())}
        self._closed = False

    async def close(self) -> None:
        """Give up whatever runs. Nothing is reported any more."""
        self._closed = True
        tasks = [*self._background, *self._requests.values()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._calls.channel.close(None)

    def obey(self, command: str, fields: Fields) -> None:
        """Start what is asked for."""
        match command:
            case "pause":
                self._calls.reading.clear()
            case "resume":
                self._calls.reading.set()
            case "cancel":
                self._cancel(str(fields["request"]))
            case "scene_close":
                self._scenes[str(fields["scene"])].close()
            case "scene_say":
                turn = self._turns[str(fields["as"])] = Turn(str(fields["as"]), say_request(fields))
                self._scenes[str(fields["scene"])].say(turn)
            case _:
                label = str(fields.pop("as"))
                work: Callable[[str, Fields], Awaitable[None]] = getattr(self, f"_{command}")
                self._requests[label] = asyncio.create_task(self._guarded(label, work(label, fields)))

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _say(self, label: str, fields: Fields) -> None:
        turn = self._turns[label] = Turn(label, say_request(fields))
        await self._speaking.say(turn)

    async def _scene_open(self, label: str, fields: Fields) -> None:
        scene = self._scenes[label] = Scene()
        await self._speaking.hold_scene(scene)
        report("scene_closed", label, last=True)

    async def _heard(self, label: str, fields: Fields) -> None:
        kept = await self._speaking.heard(str(fields["turn"]), int(str(fields["characters"])))
        report("heard", label, text=kept, last=True)

    def _cancel(self, label: str) -> None:
        turn = self._turns.get(label)
        if turn is None:
            self._requests[label].cancel()
            return
        for scene in self._scenes.values():
            if turn.request.turn_id in scene.turns:
                scene.cancel(turn)
                return
        self._background.add(asyncio.create_task(self._cancel_turn(label, turn)))

    async def _cancel_turn(self, label: str, turn: Turn) -> None:
        if not await self._speaking.cancel(turn) and label in self._requests:
            self._requests[label].cancel()

    # ── sessions and the rest ────────────────────────────────────────────────────────────────────────────────

    async def _open_session(self, label: str, fields: Fields) -> None:
        request = session_pb2.OpenRequest(
            session_id=fields.get("session"),
            persona_ids=texts_of(fields.get("persona")),
            player_name=fields.get("player"),
        )
        answer = await self._calls.ask(self._sessions.Open, request)
        report("session_opened", label, session=answer.session_id, last=True)

    async def _close_session(self, label: str, fields: Fields) -> None:
        await self._calls.ask(self._sessions.Close, session_pb2.CloseRequest(session_id=fields["session"]))
        report("session_closed", label, last=True)

    async def _save_session(self, label: str, fields: Fields) -> None:
        answer = await self._calls.ask(self._sessions.Save, session_pb2.SaveRequest(session_id=fields["session"]))
        report("session_saved", label, state=answer.state.hex(), last=True)

    async def _restore_session(self, label: str, fields: Fields) -> None:
        state = bytes.fromhex(str(fields["state"]))
        request = session_pb2.RestoreRequest(state=state, session_id=fields.get("session"))
        answer = await self._calls.ask(self._sessions.Restore, request)
        missing = ",".join(answer.missing_persona_ids)
        report("session_opened", label, session=answer.session_id, text=missing, last=True)

    async def _fork_session(self, label: str, fields: Fields) -> None:
        request = session_pb2.ForkRequest(session_id=fields["session"], new_session_id=fields.get("copy"))
        answer = await self._calls.ask(self._sessions.Fork, request)
        report("session_opened", label, session=answer.session_id, last=True)

    async def _list_personas(self, label: str, fields: Fields) -> None:
        request, ids = persona_pb2.ListRequest(), []
        while True:
            page = await self._calls.ask(self._personas.List, request)
            ids += [persona.id for persona in page.personas]
            if not page.next_page_token:
                report("personas", label, persona=ids, last=True)
                return
            request.page_token = page.next_page_token

    async def _get_stats(self, label: str, fields: Fields) -> None:
        answer = await self._calls.ask(self._daemon.GetStats, daemon_pb2.GetStatsRequest())
        json = MessageToJson(answer, preserving_proto_field_name=True, indent=None)
        report("stats", label, json=json, last=True)

    async def _compare(self, label: str, fields: Fields) -> None:
        request = preview_pb2.CompareRequest(
            text=fields.get("text"),
            situation=fields.get("situation"),
            session_id=fields.get("session"),
            variants=[variant(text) for text in texts_of(fields["variant"])],
            top_tokens=int(str(fields.get("top_tokens", 0))),
        )
        async for response in self._calls.stream(self._preview.Compare, request, time.monotonic() + TURN_TIMEOUT_S):
            variant_label = f"{label}/{response.variant_index}"
            if response.tokens:
                report("tokens", variant_label, token=[token.sampled.piece.hex() for token in response.tokens])
            report_event(variant_label, response.event)
        report("compared", label, last=True)

    async def _compose(self, label: str, fields: Fields) -> None:
        teller, request = StoryTeller(label), compose_request(fields)
        async for response in self._calls.stream(self._stories.Compose, request, time.monotonic() + STORY_TIMEOUT_S):
            teller.tell(response)

    async def _execute(self, label: str, fields: Fields) -> None:
        request = console_pb2.ExecuteRequest(line=fields["line"], session_id=fields.get("session"))
        async for response in self._calls.stream(self._console.Execute, request, time.monotonic() + TURN_TIMEOUT_S):
            style = console_pb2.ConsoleStyle.Name(response.style).removeprefix("CONSOLE_STYLE_").lower()
            report("console_output", label, text=response.text, style=style)
        report("console_finished", label, last=True)

    async def _complete(self, label: str, fields: Fields) -> None:
        cursor = int(str(fields["cursor"])) if "cursor" in fields else None
        request = console_pb2.CompleteRequest(line=fields["line"], cursor=cursor, session_id=fields.get("session"))
        answer = await self._calls.ask(self._console.Complete, request)
        texts = [completion.text for completion in answer.completions]
        span = {"start": answer.replace_start, "end": answer.replace_end}
        report("completions", label, completion=texts, **span, last=True)

    async def _guarded(self, label: str, work: Awaitable[None]) -> None:
        """Report how a request ends that does not end well."""
        scene, turns = self._scenes.get(label), []
        try:
            await work
        except asyncio.CancelledError:
            if self._closed:
                return
            if label in self._turns:
                self._turns[label].tell_cancelled()
                return
            report("error", label, status="CANCELLED", last=True)
            turns = list(scene.turns.values()) if scene else []
            for turn in turns:
                turn.tell_cancelled()
        except grpc.RpcError as error:
            report_error(label, error)
            for turn in self._scenes[label].let_go() if label in self._scenes else ():
                report_error(turn.label, error)
