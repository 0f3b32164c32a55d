"""Who may call: everyone on this machine by default, the holders of one token where one is set."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from townsfolk.config import DaemonSettings
from townsfolk.daemon.calls import same_kind
from townsfolk.daemon.errors_to_status import abort
from townsfolk.errors import InvalidArgument, Unauthenticated

OPEN_SERVICES = ("/grpc.health.v1.Health/",)  # probes of process managers carry no token
MAX_TOKEN_FILE_BYTES = 4096


class TokenInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Refuses calls without ``authorization: Bearer <token>``. Only the health service is open to all."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or method.startswith(OPEN_SERVICES) or self._knows(handler_call_details):
            return handler
        return same_kind(handler, _refuse)

    def _knows(self, details: grpc.HandlerCallDetails) -> bool:
        for key, value in details.invocation_metadata or ():
            if key == "authorization":
                scheme, _, token = (value if isinstance(value, str) else value.decode("latin-1")).partition(" ")
                # constant time: how long it takes must not tell how much of a guess was right
                return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token)
        return False


def read_token(settings: DaemonSettings) -> str:
    """The token of ``daemon.token`` or ``daemon.token_file``; empty without either. Raises ``InvalidArgument``."""
    path: Path | None = settings.token_file
    if path is None:
        return settings.token
    if settings.token:
        raise InvalidArgument("set daemon.token or daemon.token_file, not both", field="daemon.token_file")
    try:
        with path.open(encoding="utf-8") as file:
            token = file.read(MAX_TOKEN_FILE_BYTES).strip()
    except OSError as error:
        raise InvalidArgument(
            f"daemon.token_file {path} cannot be read: {error.strerror}", field="daemon.token_file"
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"daemon.token_file {path} is not text", field="daemon.token_file") from error
    if not token:
        raise InvalidArgument(f"daemon.token_file {path} is empty", field="daemon.token_file")
    return token


async def _refuse(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    await abort(context, Unauthenticated("this daemon wants a token; send `authorization: Bearer <token>`"))
