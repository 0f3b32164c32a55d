"""A daemon that says what the test wrote: real gRPC on a real port, no model behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from townsfolk.v1 import (
    common_pb2,
    daemon_pb2,
    daemon_pb2_grpc,
    dialogue_pb2,
    dialogue_pb2_grpc,
    persona_pb2,
    persona_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
)

NAMES = {
    "alchemist_apprentice": "Pip Tansy",
    "court_herald": "Peregrine Vaunt",
    "dock_smuggler": "Nessa Brine",
    "dwarf_smith": "Borrin Ashhand",
    "forest_elf": "Sylwen Duskbriar",
    "old_knight": "Dame Aldith",
    "whispering_villain": "Malachar the Quiet",
}
TASKS = {"story_writer": "Story writer"}
SERVING = health_pb2.HealthCheckResponse.SERVING


class ScriptedTown(
    dialogue_pb2_grpc.DialogueServiceServicer,
    session_pb2_grpc.SessionServiceServicer,
    persona_pb2_grpc.PersonaServiceServicer,
    daemon_pb2_grpc.DaemonServiceServicer,
    health_pb2_grpc.HealthServicer,
):
    """Answers every line with `script`, a word at a time, `pause_s` seconds apart."""

    def __init__(self, script: str, pause_s: float, token: str) -> None:
        self.script, self.pause_s, self.token = script, pause_s, token
        self.asked: list[dialogue_pb2.SayRequest] = []
        self.sessions: dict[str, list[str]] = {}
        self.spoke, self.cancelled = threading.Event(), threading.Event()
        self.together: threading.Barrier | None = None  # nobody answers before so many are asked
        self.health = SERVING
        self.failing: set[str] = set()
        self.address = ""

    def Say(self, request: dialogue_pb2.SayRequest, context: grpc.ServicerContext) -> Iterator[Any]:
        self._check(context)
        self._require_persona(request.persona_id, context)
        if request.persona_id in self.failing:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
        self.asked.append(request)
        ids = {"turn_id": f"t{len(self.asked)}", "session_id": request.session_id, "persona_id": request.persona_id}
        cached = 90 if len(self.asked) > len(NAMES) else 0
        yield self._event(ids, 0, started=common_pb2.Started(adapter_applied=True, prompt_tokens=120))
        words = self.script.split(" ")
        if self.together is not None:
            self.together.wait(10)
        for number, word in enumerate(words):
            time.sleep(self.pause_s)
            if not context.is_active():
                self.cancelled.set()
                return
            text = word if number == 0 else f" {word}"
            yield self._event(ids, number + 1, speech_delta=common_pb2.SpeechDelta(text=text, token_count=1))
            if number == 2:
                self.spoke.set()
        yield self._event(ids, len(words) + 1, emotion=common_pb2.Emotion(name="relieved"))
        action = common_pb2.Action(name="sell_remedy")
        action.arguments.update({"remedy": "burn_salve", "price_coppers": 3})
        yield self._event(ids, len(words) + 2, action=action)
        stats = common_pb2.TurnStats(
            prompt_tokens=120,
            cached_prompt_tokens=cached,
            completion_tokens=len(words),
            time_to_first_token_s=0.21,
            total_s=1.5,
            tokens_per_s=12.25,
            max_batch_rows=7,
            max_batch_adapters=7,
            first_step=2**40,
            last_step=2**40 + len(words),
        )
        finished = common_pb2.Finished(reason=common_pb2.FINISH_REASON_STOP, text=self.script, stats=stats)
        yield self._event(ids, len(words) + 3, finished=finished)

    def Open(self, request: session_pb2.OpenRequest, context: grpc.ServicerContext) -> session_pb2.OpenResponse:
        session_id = f"s{len(self.sessions)}"
        self.sessions[session_id] = list(request.persona_ids)
        return session_pb2.OpenResponse(session_id=session_id)

    def Close(self, request: session_pb2.CloseRequest, context: grpc.ServicerContext) -> session_pb2.CloseResponse:
        del self.sessions[request.session_id]
        return session_pb2.CloseResponse()

    def List(self, request: persona_pb2.ListRequest, context: grpc.ServicerContext) -> persona_pb2.ListResponse:
        self._check(context)
        ids = sorted([*NAMES, *TASKS] if persona_pb2.PERSONA_KIND_TASK in request.kinds else NAMES)
        start, size = int(request.page_token or 0), 3  # small pages, to see that they are put together
        more = str(start + size) if start + size < len(ids) else ""
        personas = [self._persona(persona_id) for persona_id in ids[start : start + size]]
        return persona_pb2.ListResponse(personas=personas, next_page_token=more)

    def Get(self, request: persona_pb2.GetRequest, context: grpc.ServicerContext) -> persona_pb2.GetResponse:
        self._check(context)
        self._require_persona(request.persona_id, context)
        return persona_pb2.GetResponse(persona=self._persona(request.persona_id))

    def Watch(self, request: persona_pb2.WatchRequest, context: grpc.ServicerContext) -> Iterator[Any]:
        """Two personas, two changes, and the end of the daemon."""
        self._check(context)
        for persona_id in request.persona_ids or sorted(NAMES)[:2]:
            yield persona_pb2.WatchResponse(
                change=persona_pb2.PERSONA_CHANGE_EXISTING, persona=self._persona(persona_id)
            )
        yield persona_pb2.WatchResponse(change=persona_pb2.PERSONA_CHANGE_SYNCED)
        changed = persona_pb2.Persona(id="nun", problems=["persona.toml:3: [name] is empty"])
        yield persona_pb2.WatchResponse(change=persona_pb2.PERSONA_CHANGE_CHANGED, persona=changed)
        gone = persona_pb2.Persona(id="nun")
        yield persona_pb2.WatchResponse(change=persona_pb2.PERSONA_CHANGE_REMOVED, persona=gone)
        context.abort(grpc.StatusCode.UNAVAILABLE, "the daemon has shut down")

    def GetStats(self, request: daemon_pb2.GetStatsRequest, context: grpc.ServicerContext) -> Any:
        self._check(context)
        tokens = len(self.asked) * len(self.script.split(" "))
        histogram = [
            daemon_pb2.StepHistogramBucket(adapters_in_step=1, steps=5),
            daemon_pb2.StepHistogramBucket(adapters_in_step=7, steps=tokens),
        ]
        return daemon_pb2.GetStatsResponse(
            version="0.1.0",
            uptime_s=75.0,
            model=daemon_pb2.ModelInfo(name="smollm2-135m-instruct", device="cpu", dtype="int8", context_tokens=2048),
            engine=daemon_pb2.EngineStats(
                name="remote",
                ready=True,
                steps=5 + tokens,
                decode_tokens=7 * tokens,
                step_histogram=histogram,
                capabilities=daemon_pb2.EngineCapabilities(guided_decoding=True),
            ),
        )

    def Check(self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext) -> Any:
        return health_pb2.HealthCheckResponse(status=self.health)

    def _check(self, context: grpc.ServicerContext) -> None:
        if self.token and ("authorization", f"Bearer {self.token}") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is missing or wrong")

    def _require_persona(self, persona_id: str, context: grpc.ServicerContext) -> None:
        if persona_id not in NAMES | TASKS:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no persona {persona_id!r}")

    def _persona(self, persona_id: str) -> persona_pb2.Persona:
        return persona_pb2.Persona(
            id=persona_id, name=(NAMES | TASKS)[persona_id], adapter=persona_pb2.AdapterInfo(digest="ab" * 32, rank=8)
        )

    def _event(self, ids: dict[str, str], sequence: int, **event: Any) -> dialogue_pb2.SayResponse:
        return dialogue_pb2.SayResponse(event=common_pb2.TurnEvent(sequence=sequence, **ids, **event))


@contextmanager
def scripted_town(
    script: str = "Well met, good pilgrim.", pause_s: float = 0.0, token: str = ""
) -> Iterator[ScriptedTown]:
    """Serve a scripted town on a free port of this machine."""
    town = ScriptedTown(script, pause_s, token)
    server = grpc.server(ThreadPoolExecutor(max_workers=24))
    dialogue_pb2_grpc.add_DialogueServiceServicer_to_server(town, server)
    session_pb2_grpc.add_SessionServiceServicer_to_server(town, server)
    persona_pb2_grpc.add_PersonaServiceServicer_to_server(town, server)
    daemon_pb2_grpc.add_DaemonServiceServicer_to_server(town, server)
    health_pb2_grpc.add_HealthServicer_to_server(town, server)
    town.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield town
    finally:
        server.stop(0).wait()
