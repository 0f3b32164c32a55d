"""The Python client under test: the generated stubs on an asyncio loop, as a Python game uses them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import grpc
from google.protobuf.json_format import MessageToJson
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.conformance.protocol import Value, decode_line, encode_line, texts_of
from townsfolk.v1 import (
    common_pb2,
    console_pb2,
    console_pb2_grpc,
    daemon_pb2,
    daemon_pb2_grpc,
    dialogue_pb2,
    dialogue_pb2_grpc,
    persona_pb2,
    persona_pb2_grpc,
    preview_pb2,
    preview_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
)

CALL_TIMEOUT_S = 10.0
TURN_TIMEOUT_S = 120.0
GRACE_S = 5.0  # a line past its deadline may still end with a fallback line
RECONNECT_S = 0.05
RETRY_S = 0.1

Fields = dict[str, Value]


def report(kind: str, label: str = "", **fields: object) -> None:
    """Write an event."""
    print(encode_line(kind, {"of": label or None, **fields}), flush=True)


class Client:
    """A connection and all that runs on it."""

    def __init__(self, address: str, token: str) -> None:
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._metadata = metadata
        self._how = {"metadata": metadata, "wait_for_ready": True}
        options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self._dialogue: Any = dialogue_pb2_grpc.DialogueServiceStub(self._channel)
        self._sessions: Any = session_pb2_grpc.SessionServiceStub(self._channel)
        self._personas: Any = persona_pb2_grpc.PersonaServiceStub(self._channel)
        self._preview: Any = preview_pb2_grpc.PreviewServiceStub(self._channel)
        self._console: Any = console_pb2_grpc.ConsoleServiceStub(self._channel)
        self._daemon: Any = daemon_pb2_grpc.DaemonServiceStub(self._channel)
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)
        self._requests: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[str, Turn] = {}
        self._cancelling: set[asyncio.Task[None]] = set()
        self._scenes: dict[str, Scene] = {}
        self._closed = False
        self._reading = asyncio.Event()
        self._reading.set()
        self._watch = asyncio.create_task(self._watch_connection())

    async def close(self) -> None:
        self._closed = True  # nothing is reported any more
        tasks = [self._watch, *self._requests.values(), *self._cancelling]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._channel.close(None)

    def obey(self, command: str, fields: Fields) -> None:
        """Start what is asked for; its events come by themselves."""
        match command:
            case "pause":
                self._reading.clear()
            case "resume":
                self._reading.set()
            case "cancel":
                self._cancel(str(fields["request"]))
            case "scene_close":
                self._scenes[str(fields["scene"])].commands.put_nowait(None)
            case "scene_say":
                self._scenes[str(fields["scene"])].say(str(fields["as"]), say_request(fields))
            case _:
                label = str(fields.pop("as"))
                work: Callable[[str, Fields], Awaitable[None]] = getattr(self, f"_{command}")
                self._requests[label] = asyncio.create_task(self._guarded(label, work(label, fields)))

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _say(self, label: str, fields: Fields) -> None:
        request = say_request(fields)
        request.turn_id = request.turn_id or uuid.uuid4().hex  # so that it can be cancelled before its first event
        spoken = self._turns[label] = Turn(request.turn_id)
        try:
            async for response in self._stream(self._dialogue.Say, request, request.deadline_s or TURN_TIMEOUT_S):
                report_event(label, response.event)
                spoken.text += response.event.speech_delta.text
                spoken.ended = response.event.WhichOneof("event") == "finished"
        except asyncio.CancelledError:
            if not spoken.ended and not self._closed:
                report("finished", label, reason="cancelled", text=spoken.text, last=True)

    async def _scene_open(self, label: str, fields: Fields) -> None:
        scene = self._scenes[label] = Scene()
        async for response in self._stream(self._dialogue.Converse, scene.requests(), TURN_TIMEOUT_S, repeatable=False):
            for event in response.events:
                report_event(scene.label_of(event), event)
        report("scene_closed", label, last=True)

    async def _heard(self, label: str, fields: Fields) -> None:
        characters = int(str(fields["characters"]))
        request = dialogue_pb2.ReportHeardRequest(turn_id=fields["turn"], heard_characters=characters)
        answer = await self._ask(self._dialogue.ReportHeard, request)
        report("heard", label, text=answer.kept_text, last=True)

    def _cancel(self, label: str) -> None:
        for scene in self._scenes.values():
            if label in scene.turns:
                scene.cancel(label)
                return
        if label in self._scenes:
            self._requests[label].cancel()
        elif label in self._turns:
            self._cancelling.add(asyncio.create_task(self._cancel_turn(label)))
        else:
            self._requests[label].cancel()

    async def _cancel_turn(self, label: str) -> None:
        request = dialogue_pb2.CancelTurnRequest(turn_id=self._turns[label].id)
        try:
            await self._dialogue.CancelTurn(request, timeout=CALL_TIMEOUT_S, metadata=self._metadata)
        except grpc.RpcError:  # the daemon has not heard of it yet, or is gone
            self._requests[label].cancel()

    # ── sessions and the rest ────────────────────────────────────────────────────────────────────────────────

    async def _open_session(self, label: str, fields: Fields) -> None:
        request = session_pb2.OpenRequest(
            session_id=fields.get("session"),
            persona_ids=texts_of(fields.get("persona")),
            player_name=fields.get("player"),
        )
        answer = await self._ask(self._sessions.Open, request)
        report("session_opened", label, session=answer.session_id, last=True)

    async def _close_session(self, label: str, fields: Fields) -> None:
        await self._ask(self._sessions.Close, session_pb2.CloseRequest(session_id=fields["session"]))
        report("session_closed", label, last=True)

    async def _save_session(self, label: str, fields: Fields) -> None:
        answer = await self._ask(self._sessions.Save, session_pb2.SaveRequest(session_id=fields["session"]))
        report("session_saved", label, state=answer.state.hex(), last=True)

    async def _restore_session(self, label: str, fields: Fields) -> None:
        state = bytes.fromhex(str(fields["state"]))
        request = session_pb2.RestoreRequest(state=state, session_id=fields.get("session"))
        answer = await self._ask(self._sessions.Restore, request)
        missing = ",".join(answer.missing_persona_ids)
        report("session_opened", label, session=answer.session_id, text=missing, last=True)

    async def _fork_session(self, label: str, fields: Fields) -> None:
        request = session_pb2.ForkRequest(session_id=fields["session"], new_session_id=fields.get("copy"))
        answer = await self._ask(self._sessions.Fork, request)
        report("session_opened", label, session=answer.session_id, last=True)

    async def _list_personas(self, label: str, fields: Fields) -> None:
        request, ids = persona_pb2.ListRequest(), []
        while True:
            page = await self._ask(self._personas.List, request)
            ids += [persona.id for persona in page.personas]
            if not page.next_page_token:
                report("personas", label, persona=ids, last=True)
                return
            request.page_token = page.next_page_token

    async def _get_stats(self, label: str, fields: Fields) -> None:
        answer = await self._ask(self._daemon.GetStats, daemon_pb2.GetStatsRequest())
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
        async for response in self._stream(self._preview.Compare, request, TURN_TIMEOUT_S):
            variant_label = f"{label}/{response.variant_index}"
            if response.tokens:
                report("tokens", variant_label, token=[token.sampled.piece.hex() for token in response.tokens])
            report_event(variant_label, response.event)
        report("compared", label, last=True)

    async def _execute(self, label: str, fields: Fields) -> None:
        request = console_pb2.ExecuteRequest(line=fields["line"], session_id=fields.get("session"))
        async for response in self._stream(self._console.Execute, request, TURN_TIMEOUT_S):
            style = console_pb2.ConsoleStyle.Name(response.style).removeprefix("CONSOLE_STYLE_").lower()
            report("console_output", label, text=response.text, style=style)
        report("console_finished", label, last=True)

    async def _complete(self, label: str, fields: Fields) -> None:
        cursor = int(str(fields["cursor"])) if "cursor" in fields else None
        request = console_pb2.CompleteRequest(line=fields["line"], cursor=cursor, session_id=fields.get("session"))
        answer = await self._ask(self._console.Complete, request)
        texts = [completion.text for completion in answer.completions]
        span = {"start": answer.replace_start, "end": answer.replace_end}
        report("completions", label, completion=texts, **span, last=True)

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, method: Any, request: Any) -> Any:
        until = time.monotonic() + CALL_TIMEOUT_S
        while True:
            await self._reading.wait()
            try:
                return await method(request, timeout=until - time.monotonic(), **self._how)
            except grpc.RpcError as error:
                await self._wait_to_try_again(error, until)

    async def _stream(
        self, method: Any, request: Any, seconds: float, *, repeatable: bool = True
    ) -> AsyncIterator[Any]:
        """The responses. Until the first one has come it may be asked again: turns have ids, and none is run twice."""
        until = time.monotonic() + seconds + GRACE_S
        while True:
            call = method(request, timeout=until - time.monotonic(), **self._how)
            await self._reading.wait()
            try:
                async for response in call:
                    repeatable = False
                    yield response
                    await self._reading.wait()
                return
            except grpc.RpcError as error:
                if not repeatable:
                    raise
                await self._wait_to_try_again(error, until)

    async def _wait_to_try_again(self, error: Any, until: float) -> None:
        """Raise the error, unless it says that nobody was there and there is time to look again."""
        if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() + RETRY_S > until:
            raise error
        await asyncio.sleep(RETRY_S)

    async def _guarded(self, label: str, work: Awaitable[None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            if not self._closed:
                report("error", label, status="CANCELLED", last=True)
        except grpc.RpcError as error:
            report_error(label, error)
            scene = self._scenes.get(label)
            for turn in list(scene.turns) if scene else ():
                report_error(turn, error)

    async def _watch_connection(self) -> None:
        while True:
            with suppress(grpc.RpcError):
                report("connection", state="connecting")
                call = self._health.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
                async for answer in call:
                    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
                    if serving and not await self._token_is_right():
                        report("connection", state="failed")
                        return
                    report("connection", state="ready" if serving else "not_serving")
            report("connection", state="lost")
            await asyncio.sleep(RECONNECT_S)

    async def _token_is_right(self) -> bool:
        try:
            await self._daemon.GetStats(daemon_pb2.GetStatsRequest(), timeout=CALL_TIMEOUT_S, metadata=self._metadata)
        except grpc.RpcError as error:
            return error.code() != grpc.StatusCode.UNAUTHENTICATED
        return True


@dataclass
class Turn:
    """A line that was asked for, and what of it has come."""

    id: str
    text: str = ""
    ended: bool = False


class Scene:
    """A Converse stream: what is sent into it, and whose events come out."""

    def __init__(self) -> None:
        self.commands: asyncio.Queue[Any] = asyncio.Queue()
        self.turns: dict[str, str] = {}  # label → turn id, while the turn runs

    def say(self, label: str, request: dialogue_pb2.SayRequest) -> None:
        request.turn_id = request.turn_id or f"{id(self)}-{label.encode().hex()}"
        self.turns[label] = request.turn_id
        self.commands.put_nowait(dialogue_pb2.ConverseRequest(say=request))

    def cancel(self, label: str) -> None:
        cancel = dialogue_pb2.CancelTurnRequest(turn_id=self.turns[label])
        self.commands.put_nowait(dialogue_pb2.ConverseRequest(cancel=cancel))

    async def requests(self) -> AsyncIterator[dialogue_pb2.ConverseRequest]:
        while (command := await self.commands.get()) is not None:
            yield command

    def label_of(self, event: common_pb2.TurnEvent) -> str:
        (label,) = (label for label, turn_id in self.turns.items() if turn_id == event.turn_id)
        if event.WhichOneof("event") in ("finished", "error"):
            del self.turns[label]
        return label


def say_request(fields: Fields) -> dialogue_pb2.SayRequest:
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


def report_event(label: str, event: common_pb2.TurnEvent) -> None:
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
    field = ""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                bad = error_details_pb2.BadRequest()
                if detail.Unpack(bad):
                    field = bad.field_violations[0].field
    report("error", label, status=error.code().name, text=error.details(), field=field, last=True)


async def main() -> None:
    loop = asyncio.get_running_loop()
    client: Client | None = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, fields = decode_line(line.rstrip("\n"))
        if command == "connect":
            client = Client(str(fields["address"]), str(fields.get("token", "")))
        elif command == "close":
            if client is not None:
                await client.close()
            client = None
            report("closed", str(fields["as"]), last=True)
        elif client is not None:
            client.obey(command, fields)


if __name__ == "__main__":
    sys.stdin.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    asyncio.run(main())
