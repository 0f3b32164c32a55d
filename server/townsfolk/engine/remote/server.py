"""Plain HTTP with one server: pooled connections, bounded answers, and failures told apart by what can be done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import httpx

from townsfolk.engine.remote.settings import RemoteSettings, read_api_key
from townsfolk.errors import (
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    ResourceExhausted,
    TownsfolkError,
    Unavailable,
)

logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request, and health is asked for all the time

MAX_ANSWER_BYTES = 4 * 1024 * 1024  # lists of models and adapters
MAX_ERROR_BYTES = 64 * 1024
MAX_EVENT_BYTES = 1024 * 1024  # one event of a stream; most have a few hundred bytes
MAX_MESSAGE_CHARACTERS = 300  # of a server's own words in one of ours
BUSY_RETRY_S = 1.0
SPARE_CONNECTIONS = 8  # beside those of lines: health, lists, adapters
END_OF_STREAM = "[DONE]"


class Unreachable(Exception):
    """The server could not be asked, or answered that it cannot work now. Another one, or a later try, may do."""


class Lost(Unreachable):
    """Nobody listens there any more."""


class Broken(Unreachable):
    """The connection broke, or what came over it made no sense: the server may have died, or closed it as idle."""


class Busy(Unreachable):
    """The server takes no more work now. ``retry_after_s``: when it may again."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unknown(Exception):
    """The server does not know what it was asked for: a model, an adapter or a path (404)."""


class Server:
    """One server's HTTP interface.

    Raises, from every method, ``Unreachable`` (``Busy``), ``Unknown`` or the ``TownsfolkError`` of what was refused.
    """

    def __init__(self, url: str, settings: RemoteSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = url
        self._settings = settings
        key = read_api_key(settings)
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(None, connect=settings.connect_timeout_s),  # reading is timed where it is awaited
            limits=httpx.Limits(max_connections=settings.max_lines + SPARE_CONNECTIONS, max_keepalive_connections=32),
            verify=_trusted(settings) if url.startswith("https:") else False,  # reading all certificates takes long
            trust_env=False,  # no proxy and no certificate that the settings do not name
            transport=transport,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, method: str, path: str, body: Any = None, *, timeout_s: float | None = None) -> Any:
        """One call whose answer is read whole: JSON where it is JSON, else text."""
        try:
            content = await self._ask(method, path, body, timeout_s)
        except Broken:
            if method != "GET":
                raise
            content = await self._ask(method, path, body, timeout_s)  # a server may close a connection as it is used
        try:
            return json.loads(content)
        except ValueError:
            return content.decode("utf-8", "replace")

    async def _ask(self, method: str, path: str, body: Any, timeout_s: float | None) -> bytes:
        with _told_apart(self.url):
            async with asyncio.timeout(timeout_s or self._settings.connect_timeout_s):
                async with self._client.stream(method, path, json=body) as response:
                    await _raise_for(self.url, response)
                    return await _read(self.url, response, MAX_ANSWER_BYTES)

    async def events(self, path: str, body: Any) -> AsyncGenerator[dict[str, Any], None]:
        """The JSON events of a stream (server-sent events), until its end. Closing it closes the connection.

        A server notices that, and stops working on the line.
        """
        wait_s = self._settings.first_token_timeout_s
        with _told_apart(self.url):
            async with contextlib.AsyncExitStack() as held:
                async with asyncio.timeout(wait_s):
                    stream = self._client.stream("POST", path, json=body, headers={"accept": "text/event-stream"})
                    response = await held.enter_async_context(stream)
                    await _raise_for(self.url, response)
                lines = _lines(self.url, response)
                while True:
                    async with asyncio.timeout(wait_s):
                        event = await _next_event(self.url, lines)
                    if event is None:
                        await _drain(lines, wait_s)  # so that the connection serves the next line
                        return
                    wait_s = self._settings.token_timeout_s
                    yield event


async def _next_event(url: str, lines: AsyncIterator[str]) -> dict[str, Any] | None:
    """The next event's JSON; ``None`` at the stream's end."""
    async for line in lines:
        field, _, value = line.partition(":")
        if field not in ("data", "error"):  # llama.cpp calls its last event `error` where something went wrong
            continue  # comments, names and ids of events
        value = value.strip()
        if value == END_OF_STREAM:
            return None
        try:
            event = json.loads(value)
        except ValueError as error:
            raise Broken(f"{url} sent an event that is no JSON: {value[:80]!r}") from error
        if not isinstance(event, dict):
            raise Broken(f"{url} sent an event that is no JSON object: {value[:80]!r}")
        return event if field == "data" else {"error": event}
    return None


async def _drain(lines: AsyncIterator[str], timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        async for _ in lines:
            pass


async def _lines(url: str, response: httpx.Response) -> AsyncIterator[str]:
    """The stream's lines; none may be endless."""
    rest = b""
    async for block in response.aiter_bytes():
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").rstrip("\r")
        if len(rest) > MAX_EVENT_BYTES:
            raise Broken(f"{url} sent an event of more than {MAX_EVENT_BYTES} bytes")
    if rest:
        yield rest.decode("utf-8", "replace")


@contextlib.contextmanager
def _told_apart(url: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise Unreachable(f"{url} did not answer in time") from error
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise Lost(f"{url} cannot be reached: {str(error) or type(error).__name__}") from error
    except httpx.HTTPError as error:
        raise Broken(f"{url} cannot be reached: {str(error) or type(error).__name__}") from error


async def _raise_for(url: str, response: httpx.Response) -> None:
    code = response.status_code
    if code < 300:
        return
    said = error_message(await _read(url, response, MAX_ERROR_BYTES))
    if code == 429:
        raise Busy(f"{url} is busy: {said}", _retry_after(response))
    if code == 404:
        raise Unknown(f"{url} does not know {response.request.url.path}: {said}")
    if code in (401, 403):
        raise FailedPrecondition(
            f"{url} refused the key ({code}): {said}; set engine.remote.api_key_file", field="engine.remote"
        )
    if code >= 500 or code == 408:
        raise Unreachable(f"{url} answered {code}: {said}")
    if code < 400:
        raise FailedPrecondition(f"{url} points elsewhere ({code}); give its real address", field="engine.remote")
    raise InvalidArgument(f"{url} refused the line ({code}): {said}")


def raise_for_event(url: str, event: dict[str, Any]) -> None:
    """Raise what an event says that went wrong after the stream had begun."""
    error = event.get("error")
    if not error:
        return
    said = error_message(json.dumps(event).encode())
    code = error.get("code") if isinstance(error, dict) else None
    if code == 404:
        raise Unknown(f"{url}: {said}")
    if code in (429, 503):
        raise Busy(f"{url} is busy: {said}", BUSY_RETRY_S)
    if isinstance(code, int) and 400 <= code < 500:
        raise InvalidArgument(f"{url} refused the line ({code}): {said}")
    raise Unreachable(f"{url} gave the line up: {said}")


def error_message(body: bytes) -> str:
    """What a server says that was wrong, in whichever of the usual shapes it says it."""
    text = body.decode("utf-8", "replace")
    try:
        said: Any = json.loads(text)
    except ValueError:
        said = text
    for key in ("error", "message", "detail"):
        if isinstance(said, dict) and key in said:
            said = said[key]
    if isinstance(said, dict) and "message" in said:
        said = said["message"]
    line = " ".join((said if isinstance(said, str) else json.dumps(said)).split())
    return line[:MAX_MESSAGE_CHARACTERS] or "no reason given"


async def _read(url: str, response: httpx.Response, limit: int) -> bytes:
    content = b""
    async for block in response.aiter_bytes():
        content += block
        if len(content) > limit:
            raise Broken(f"{url} answered with more than {limit} bytes")
    return content


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(max(float(response.headers.get("retry-after", BUSY_RETRY_S)), 0.0), 60.0)
    except ValueError:
        return BUSY_RETRY_S


def _trusted(settings: RemoteSettings) -> ssl.SSLContext:
    if settings.ca_file is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise InvalidArgument(
            f"engine.remote.ca_file {settings.ca_file} cannot be read: {error}", field="ca_file"
        ) from error


def as_townsfolk_error(error: Exception) -> TownsfolkError:
    """What a failure of a server is to a caller who cannot try elsewhere."""
    if isinstance(error, TownsfolkError):
        return error
    if isinstance(error, Busy):
        return ResourceExhausted(str(error), retry_after_s=error.retry_after_s)
    if isinstance(error, Unreachable):
        return Unavailable(str(error), retry_after_s=BUSY_RETRY_S)
    if isinstance(error, Unknown):
        return FailedPrecondition(str(error))
    return InternalError(f"{type(error).__name__}: {error}")
