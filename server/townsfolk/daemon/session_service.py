"""``SessionService``: opens and closes conversations."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from townsfolk.dialogue.turn import TurnRunner
from townsfolk.errors import Unimplemented
from townsfolk.personas.library import PersonaLibrary
from townsfolk.v1.session_pb2 import (
    CloseRequest,
    CloseResponse,
    ForkRequest,
    ForkResponse,
    OpenRequest,
    OpenResponse,
    RestoreRequest,
    RestoreResponse,
    SaveRequest,
    SaveResponse,
)
from townsfolk.v1.session_pb2_grpc import SessionServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class SessionService(SessionServiceServicer):
    """Opens and closes conversations; keeping them is not served yet."""

    def __init__(self, runner: TurnRunner, library: PersonaLibrary) -> None:
        self._runner = runner
        self._library = library

    async def Open(self, request: OpenRequest, context: Context) -> OpenResponse:
        """See the API. Reads every persona, so that a missing or broken one shows here and not in mid-scene."""
        sessions = self._runner.sessions
        persona_ids = list(request.persona_ids)
        sessions.check_new(request.session_id, persona_ids, request.player_name, request.metadata)
        for persona_id in persona_ids:
            await asyncio.to_thread(self._library.get, persona_id)
        session = sessions.open(
            persona_ids,
            session_id=request.session_id,
            player_name=request.player_name,
            metadata=request.metadata,
        )
        return OpenResponse(session_id=session.id)

    async def Close(self, request: CloseRequest, context: Context) -> CloseResponse:
        """See the API."""
        session = self._runner.sessions.close(request.session_id)
        return CloseResponse(cancelled_turns=self._runner.registry.cancel_session(session.id))

    async def Save(self, request: SaveRequest, context: Context) -> SaveResponse:
        """Not served yet."""
        raise Unimplemented("Save is not part of this version; sessions live as long as the daemon")

    async def Restore(self, request: RestoreRequest, context: Context) -> RestoreResponse:
        """Not served yet."""
        raise Unimplemented("Restore is not part of this version; open a new session")

    async def Fork(self, request: ForkRequest, context: Context) -> ForkResponse:
        """Not served yet."""
        raise Unimplemented("Fork is not part of this version; open a new session")
