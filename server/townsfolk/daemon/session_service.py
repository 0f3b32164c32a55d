"""``SessionService``: opens, closes, saves, restores and copies conversations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc

from townsfolk.dialogue import saves
from townsfolk.dialogue.turn import TurnRunner
from townsfolk.errors import NotFound
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
    """Conversations from their beginning to their end, and beyond it in a game's save file."""

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
        """See the API."""
        saved = saves.saved(self._runner.sessions.get(request.session_id))
        state, turns = await asyncio.to_thread(saves.encode, saved)
        return SaveResponse(state=state, format_version=saves.FORMAT_VERSION, turns=turns)

    async def Restore(self, request: RestoreRequest, context: Context) -> RestoreResponse:
        """See the API."""
        saved = await asyncio.to_thread(saves.decode, request.state)
        missing = await asyncio.to_thread(self._missing, saved.persona_ids)
        session = self._runner.sessions.open(
            saved.persona_ids,
            session_id=request.session_id or saved.session_id,
            player_name=saved.player_name,
            metadata=saved.metadata,
            history=saved.turns,
            last_fallback=saved.last_fallback,
            unchecked=True,
        )
        return RestoreResponse(session_id=session.id, missing_persona_ids=missing)

    async def Fork(self, request: ForkRequest, context: Context) -> ForkResponse:
        """See the API."""
        sessions = self._runner.sessions
        source = sessions.get(request.session_id)
        turns = source.heard_turns()
        if request.HasField("keep_turns"):
            turns = turns[: request.keep_turns]
        copy = sessions.open(
            source.persona_ids,
            session_id=request.new_session_id,
            player_name=source.player_name,
            metadata=source.metadata,
            history=turns,
            last_fallback=source.last_fallback,
            unchecked=source.unchecked,
        )
        return ForkResponse(session_id=copy.id)

    def _missing(self, persona_ids: Sequence[str]) -> list[str]:
        """Those that the library does not have; a broken one tells its reason when it is to speak."""
        missing = []
        for persona_id in persona_ids:
            try:
                self._library.folder_of(persona_id)
            except NotFound:
                missing.append(persona_id)
        return missing
