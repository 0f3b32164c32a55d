"""``PersonaService``: lists personas, brings their adapters into the engine and out of it, reads them again."""

from __future__ import annotations

import asyncio
import bisect
import time
from contextlib import aclosing
from typing import Any

import grpc

from townsfolk.daemon.convert import KINDS, persona_message
from townsfolk.daemon.library_watch import LibraryWatch
from townsfolk.daemon.residency import Residency, Unloader, residency_of
from townsfolk.engine.interface import Engine
from townsfolk.errors import InvalidArgument, ResourceExhausted
from townsfolk.personas.library import PersonaLibrary, ReloadReport, check_id
from townsfolk.personas.schema import MAX_PERSONA_BYTES
from townsfolk.personas.validation import Problem, find_problems, toml_problems
from townsfolk.v1 import persona_pb2 as pb
from townsfolk.v1.persona_pb2_grpc import PersonaServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

DEFAULT_PAGE = 64
DEFAULT_KINDS = {"character"}
MAX_PAGE = 256
MAX_WATCHED = 256
READ_PATIENCE_S = 60.0  # so that a client which hangs does not keep a place for ever
MAX_PAGE_BYTES = 2 * 1024 * 1024  # half of what a client takes in one message by default
SLOT_RETRY_S = 1.0  # a line takes seconds; then its adapter's slot is free


class PersonaService(PersonaServiceServicer):
    """Serves the library of personas."""

    def __init__(self, library: PersonaLibrary, engine: Engine) -> None:
        self._library = library
        self._engine = engine
        self.unloader = Unloader(engine)
        self.watch = LibraryWatch(library, engine)

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """See the API. A page token is the last id of the page before: pages stay right while personas come and go."""
        if request.page_size > MAX_PAGE:
            raise InvalidArgument(f"page_size is at most {MAX_PAGE}", field="page_size")
        residency = await residency_of(self._engine)
        return await asyncio.to_thread(self._page, request, residency)

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:
        """See the API."""
        return pb.GetResponse(persona=await self._persona(request.persona_id))

    async def Load(self, request: pb.LoadRequest, context: Context) -> pb.LoadResponse:
        """See the API."""
        loaded = await asyncio.to_thread(self._library.get, request.persona_id)
        adapter = loaded.required_adapter()
        load_s = 0.0
        if adapter is not None and adapter.digest not in (await residency_of(self._engine)).resident:
            began = time.monotonic()
            answer = await self._engine.load_adapter(adapter)
            load_s = time.monotonic() - began
            if not answer.resident:
                raise ResourceExhausted(
                    f"running lines hold every adapter slot; {request.persona_id} is in host memory and gets one when "
                    "it speaks",
                    retry_after_s=SLOT_RETRY_S,
                )
        return pb.LoadResponse(persona=await self._persona(request.persona_id), load_s=load_s)

    async def Unload(self, request: pb.UnloadRequest, context: Context) -> pb.UnloadResponse:
        """See the API."""
        loaded = await asyncio.to_thread(self._library.get, request.persona_id)
        deferred = False
        if loaded.adapter is not None:
            deferred = await self.unloader.unload(loaded.adapter.digest)
        return pb.UnloadResponse(persona=await self._persona(request.persona_id), deferred=deferred)

    async def Reload(self, request: pb.ReloadRequest, context: Context) -> pb.ReloadResponse:
        """See the API."""
        if request.persona_id:
            report: ReloadReport = await asyncio.to_thread(self._library.reload, request.persona_id)
        else:
            report = await asyncio.to_thread(self._library.reload_all)
        return pb.ReloadResponse(
            added_persona_ids=report.added,
            changed_persona_ids=report.changed,
            removed_persona_ids=report.removed,
            failed_persona_ids=report.failed,
        )

    async def Validate(self, request: pb.ValidateRequest, context: Context) -> pb.ValidateResponse:
        """See the API."""
        match request.WhichOneof("source"):
            case "persona_id":
                folder = await asyncio.to_thread(self._library.folder_of, request.persona_id)
                problems = await asyncio.to_thread(find_problems, folder, self._library.model_name)
            case "persona_toml":
                if len(request.persona_toml.encode()) > MAX_PERSONA_BYTES:
                    raise InvalidArgument(
                        f"persona_toml is larger than {MAX_PERSONA_BYTES // 1024} KiB", field="persona_toml"
                    )
                problems = toml_problems(request.persona_toml or "# empty")
            case _:
                raise InvalidArgument("say what to validate: persona_id or persona_toml", field="source")
        return pb.ValidateResponse(
            valid=all(problem.warning for problem in problems), problems=[_problem(p) for p in problems]
        )

    async def Watch(self, request: pb.WatchRequest, context: Context) -> None:
        """See the API."""
        if len(request.persona_ids) > MAX_WATCHED:
            raise InvalidArgument(f"at most {MAX_WATCHED} personas; name none to watch all", field="persona_ids")
        for persona_id in request.persona_ids:
            check_id(persona_id, "persona_ids")
        async with aclosing(self.watch.changes(frozenset(request.persona_ids))) as changes:
            async for change in changes:
                try:
                    await asyncio.wait_for(context.write(change), READ_PATIENCE_S)
                except TimeoutError:
                    raise ResourceExhausted(f"nothing was read for {READ_PATIENCE_S:g} s; watch again") from None

    def _page(self, request: pb.ListRequest, residency: Residency) -> pb.ListResponse:
        ids = self._library.ids()
        start = bisect.bisect_right(ids, request.page_token) if request.page_token else 0
        kinds = {kind for kind, number in KINDS.items() if number in request.kinds} or DEFAULT_KINDS
        response = pb.ListResponse()
        total = 0
        for persona_id in ids[start:]:
            loaded, problems = self._library.look(persona_id)
            if loaded is not None and loaded.persona.kind not in kinds:
                continue
            message = persona_message(persona_id, loaded, problems, residency.state(loaded))
            total += message.ByteSize()
            full = len(response.personas) == (request.page_size or DEFAULT_PAGE) or total > MAX_PAGE_BYTES
            if response.personas and full:
                response.next_page_token = response.personas[-1].id
                break
            response.personas.append(message)
        return response

    async def _persona(self, persona_id: str) -> pb.Persona:
        """One persona. One with errors is returned with its problems, like in a list; an unknown one is NOT_FOUND."""
        await asyncio.to_thread(self._library.folder_of, persona_id)
        loaded, problems = await asyncio.to_thread(self._library.look, persona_id)
        return persona_message(persona_id, loaded, problems, (await residency_of(self._engine)).state(loaded))


def _problem(problem: Problem) -> pb.Problem:
    return pb.Problem(
        severity=pb.PROBLEM_SEVERITY_WARNING if problem.warning else pb.PROBLEM_SEVERITY_ERROR,
        file=problem.file,
        line=problem.line,
        field=problem.field,
        message=problem.message,
    )
