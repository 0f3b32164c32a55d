"""A thin client of the daemon: where it is, whether it answers, and its calls with errors a person can read."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before grpc is imported: what matters arrives as an error

import grpc
from google.rpc.error_details_pb2 import BadRequest  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from townsfolk.cli.state import DaemonState, read_state
from townsfolk.config import DEFAULT_PORT
from townsfolk.errors import (
    DeadlineExceeded,
    InvalidArgument,
    TownsfolkError,
    Unauthenticated,
    Unavailable,
    from_status,
)
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
    story_pb2,
    story_pb2_grpc,
)

CALL_TIMEOUT_S = 10.0  # for calls that no model has to think about
HEALTH_TIMEOUT_S = 2.0
GRACE_S = 5.0  # a line past its deadline may still end with a fallback line
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
ANY_KIND = (persona_pb2.PERSONA_KIND_CHARACTER, persona_pb2.PERSONA_KIND_TASK)
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "*": "127.0.0.1"}  # listening there, reached here


@dataclass(frozen=True)
class Target:
    """Where a daemon listens and what it wants to see. `address` as gRPC takes it: `host:port` or `unix:path`."""

    address: str
    token: str = ""
    secure: bool = False
    root_certificate: Path | None = None


def parse_target(text: str) -> Target:
    """The daemon a user names: `host`, `host:port`, `https://host:port` for TLS, or `unix:/path`.

    `TOWNSFOLK_TOKEN` is its token, `TOWNSFOLK_ROOT_CERTIFICATE` a PEM file to trust. Raises ``InvalidArgument``.
    """
    token, root = os.environ.get("TOWNSFOLK_TOKEN", ""), os.environ.get("TOWNSFOLK_ROOT_CERTIFICATE", "")
    secure = text.startswith("https://")
    address = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    if not address.startswith("unix:"):
        host, colon, port = address.rpartition(":")
        if not colon or address.endswith("]"):
            host, port = address, str(DEFAULT_PORT)
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise InvalidArgument(f"{text!r} is no address; write host:port, https://host:port or unix:/path")
        address = f"{EVERYWHERE.get(host, host)}:{port}"
    known = read_state()
    if not token and known is not None and target_of(known).address == address:
        return target_of(known)
    return Target(address, token, secure, Path(root) if root else None)


def target_of(state: DaemonState) -> Target:
    """The daemon that announced itself."""
    host, colon, port = state.address.rpartition(":")
    unix = state.address.startswith("unix:")
    address = state.address if unix or not colon else f"{EVERYWHERE.get(host, host)}:{port}"
    certificate = Path(state.tls_certificate) if state.tls_certificate else None
    return Target(address, state.token, certificate is not None, certificate)


class Town:
    """A connection to a daemon: `async with Town(target) as town`. Its methods raise only ``TownsfolkError``."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._metadata = (("authorization", f"Bearer {target.token}"),) if target.token else ()

    async def __aenter__(self) -> Self:
        options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
        if self.target.secure:
            root = self.target.root_certificate
            credentials = grpc.ssl_channel_credentials(root.read_bytes() if root else None)
            self._channel = grpc.aio.secure_channel(self.target.address, credentials, options=options)
        else:
            self._channel = grpc.aio.insecure_channel(self.target.address, options=options)
        self._dialogue = dialogue_pb2_grpc.DialogueServiceStub(self._channel)
        self._sessions = session_pb2_grpc.SessionServiceStub(self._channel)
        self._personas = persona_pb2_grpc.PersonaServiceStub(self._channel)
        self._previews = preview_pb2_grpc.PreviewServiceStub(self._channel)
        self._stories = story_pb2_grpc.StoryServiceStub(self._channel)
        self._daemon = daemon_pb2_grpc.DaemonServiceStub(self._channel)
        self._console = console_pb2_grpc.ConsoleServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close(None)

    async def health(self) -> Literal["serving", "waiting", "silent"]:
        """What it answers within two seconds; waiting: it lives, but its engine starts or it is about to stop."""
        try:
            request = health_pb2.HealthCheckRequest()
            answer = await self._health.Check(request, timeout=HEALTH_TIMEOUT_S, metadata=self._metadata)
        except grpc.RpcError:
            return "silent"
        return "serving" if answer.status == health_pb2.HealthCheckResponse.SERVING else "waiting"

    async def stay(self) -> None:
        """Watch its health until it goes away: a daemon in the background stays while somebody does."""
        call = self._health.Watch(health_pb2.HealthCheckRequest(), metadata=self._metadata)
        try:
            async for _ in call:
                pass
        except grpc.RpcError:
            pass  # the next call tells of it
        finally:
            call.cancel()

    async def say(self, request: dialogue_pb2.SayRequest, timeout_s: float) -> AsyncIterator[common_pb2.TurnEvent]:
        """Ask for a line and yield its events. Closing the iterator cancels the line."""
        request.deadline_s = timeout_s
        call = self._dialogue.Say(request, timeout=timeout_s + GRACE_S, metadata=self._metadata)
        try:
            async with self._sentences():
                async for response in call:
                    yield response.event
        finally:
            call.cancel()

    async def compare(
        self, request: preview_pb2.CompareRequest, timeout_s: float
    ) -> AsyncIterator[preview_pb2.CompareResponse]:
        """Ask for a line in many variants and yield their events. Closing the iterator cancels all of them."""
        call = self._previews.Compare(request, timeout=timeout_s, metadata=self._metadata)
        try:
            async with self._sentences():
                async for response in call:
                    yield response
        finally:
            call.cancel()

    async def compose(
        self, request: story_pb2.ComposeRequest, timeout_s: float
    ) -> AsyncIterator[story_pb2.ComposeResponse]:
        """Ask for a story and yield what happens. Closing the iterator stops everything."""
        request.deadline_s = timeout_s
        call = self._stories.Compose(request, timeout=timeout_s + GRACE_S, metadata=self._metadata)
        try:
            async with self._sentences():
                async for response in call:
                    yield response
        finally:
            call.cancel()

    async def open_session(self, persona_ids: Sequence[str]) -> str:
        """Open a conversation and return its id."""
        answer = await self._ask(self._sessions.Open, session_pb2.OpenRequest(persona_ids=persona_ids))
        return str(answer.session_id)

    async def close_session(self, session_id: str) -> None:
        await self._ask(self._sessions.Close, session_pb2.CloseRequest(session_id=session_id))

    async def personas(self, kinds: Sequence[persona_pb2.PersonaKind] = ()) -> list[persona_pb2.Persona]:
        """Every persona of these kinds, unusable ones included; without kinds, every character."""
        found: list[persona_pb2.Persona] = []
        request = persona_pb2.ListRequest(page_size=256, kinds=kinds)
        while True:
            page = await self._ask(self._personas.List, request)
            found.extend(page.personas)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def persona(self, persona_id: str) -> persona_pb2.Persona:
        answer = await self._ask(self._personas.Get, persona_pb2.GetRequest(persona_id=persona_id))
        return answer.persona  # type: ignore[no-any-return]

    async def watch(self, persona_ids: Sequence[str]) -> AsyncIterator[persona_pb2.WatchResponse]:
        """Changes of these personas, or of all, without end. Closing the iterator stops it."""
        call = self._personas.Watch(persona_pb2.WatchRequest(persona_ids=persona_ids), metadata=self._metadata)
        try:
            async with self._sentences():
                async for response in call:
                    yield response
        finally:
            call.cancel()

    async def stats(self) -> daemon_pb2.GetStatsResponse:
        return await self._ask(self._daemon.GetStats, daemon_pb2.GetStatsRequest())  # type: ignore[no-any-return]

    async def execute(self, line: str, *, session_id: str, columns: int) -> AsyncIterator[console_pb2.ExecuteResponse]:
        """Run a line of the developer console and yield what it prints. Closing the iterator stops it.

        The daemon ends every command by itself, so there is no deadline here.
        """
        request = console_pb2.ExecuteRequest(line=line, session_id=session_id, columns=columns)
        call = self._console.Execute(request, metadata=self._metadata)
        try:
            async with self._sentences():
                async for response in call:
                    yield response
        finally:
            call.cancel()

    async def complete(self, line: str, cursor: int, *, session_id: str) -> console_pb2.CompleteResponse:
        """Ways to go on with a line of the developer console; ``cursor`` counts the characters before it."""
        request = console_pb2.CompleteRequest(line=line, cursor=cursor, session_id=session_id)
        return await self._ask(self._console.Complete, request)  # type: ignore[no-any-return]

    async def _ask(self, method: Any, request: Any) -> Any:
        async with self._sentences():
            return await method(request, timeout=CALL_TIMEOUT_S, metadata=self._metadata)

    @asynccontextmanager
    async def _sentences(self) -> AsyncIterator[None]:
        """Turns gRPC's errors into ours."""
        try:
            yield
        except grpc.RpcError as error:
            raise self._translate(error) from error

    def _translate(self, error: Any) -> TownsfolkError:
        status, details = error.code().name, error.details() or ""
        if status == "UNAVAILABLE" and ("failed to connect" in details or "onnect" in details or not details):
            return Unavailable(f"no daemon answers at {self.target.address}; `townsfolk serve` starts one")
        if status == "DEADLINE_EXCEEDED" and details in ("", "Deadline Exceeded"):
            return DeadlineExceeded(f"the daemon at {self.target.address} did not answer in time")
        if status == "UNAUTHENTICATED":
            return Unauthenticated(
                f"{details or 'the daemon wants a token'}; set TOWNSFOLK_TOKEN to the daemon's token"
            )
        return from_status(status, details or f"the daemon answered {status}", field=_field_at_fault(error))


def _field_at_fault(error: Any) -> str:
    """The request's field that the daemon complains of; empty where it names none."""
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # details that are not the daemon's
        return ""
    for detail in status.details if status is not None else ():
        bad_request = BadRequest()
        if detail.Unpack(bad_request) and bad_request.field_violations:
            return str(bad_request.field_violations[0].field)
    return ""
