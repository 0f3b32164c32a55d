"""HTTP to a picture server, with everything bounded and every failure a sentence."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import httpx

from townsfolk.errors import (
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    ResourceExhausted,
    TownsfolkError,
    Unavailable,
)
from townsfolk.pictures.painter import PictureOrder
from townsfolk.pictures.png import MAX_PNG_BYTES, MalformedPng, described, png_size

MAX_JSON_BYTES = MAX_PNG_BYTES * 4 // 3 + 1024 * 1024  # a picture in Base64, and what is said about it
CONNECT_TIMEOUT_S = 5.0
SAID_CHARACTERS = 300  # of what a server says, in a sentence of ours


class PictureServer:
    """A picture server at a URL.

    Args:
        name: how people call it.
        address: ``http://host:port``, with ``user:password@`` before the host where it wants them.
        answer_timeout_s: seconds that an answer may take, unless the call says otherwise.

    Raises ``InvalidArgument`` for an address that is no URL.
    """

    def __init__(self, name: str, address: str, answer_timeout_s: float = 30.0) -> None:
        url = _url(address)
        self.name = name
        self.address = str(url.copy_with(userinfo=b"")).rstrip("/")
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=httpx.Timeout(answer_timeout_s, connect=CONNECT_TIMEOUT_S),
            trust_env=not _is_loopback(url.host),  # a proxy leads away from this machine
        )
        self.websocket_url = str(url.copy_with(scheme="wss" if url.scheme == "https" else "ws")).rstrip("/")

    async def close(self) -> None:
        await self._client.aclose()

    async def get_json(self, path: str, **query: str) -> Any:
        """What it answers to GET, parsed."""
        return _parsed(self.name, await self._request("GET", path, MAX_JSON_BYTES, params=query))

    async def post_json(self, path: str, body: Any, timeout_s: float | None = None) -> Any:
        """What it answers to POST, parsed; ``None`` for an empty answer."""
        options: dict[str, Any] = {} if timeout_s is None else {"timeout": timeout_s}
        answer = await self._request("POST", path, MAX_JSON_BYTES, json=body, **options)
        return _parsed(self.name, answer) if answer else None

    async def download(self, path: str, **query: str) -> bytes:
        """The file that it answers with, at most ``MAX_PNG_BYTES``."""
        return await self._request("GET", path, MAX_PNG_BYTES, params=query)

    def described(self, png: bytes, order: PictureOrder, model: str, steps: int) -> tuple[bytes, int, int]:
        """Its picture with our texts instead of its own, width and height. Raises ``FailedPrecondition``."""
        try:
            picture = described(png, order, model, steps)
            return (picture, *png_size(picture))
        except MalformedPng as error:
            raise FailedPrecondition(
                f"{self.name} at {self.address} sent what is no PNG picture ({error}); make PNG its image format"
            ) from error

    def lost(self, error: Exception) -> TownsfolkError:
        """What to say when its connection broke."""
        return Unavailable(
            f"{self.name} at {self.address} does not answer ({_named(error)}); start it, or set pictures.address",
            retry_after_s=5.0,
        )

    async def _request(self, method: str, path: str, limit: int, **options: Any) -> bytes:
        try:
            async with self._client.stream(method, path, **options) as response:
                body = bytearray()
                async for block in response.aiter_bytes():
                    body += block
                    if len(body) > limit:
                        raise FailedPrecondition(
                            f"{self.name} at {self.address} answered with more than {limit:,} bytes; "
                            "order a smaller picture"
                        )
        except httpx.HTTPError as error:
            raise self.lost(error) from error
        if response.is_success:
            return bytes(body)
        raise self._refused(path, response.status_code, bytes(body))

    def _refused(self, path: str, code: int, body: bytes) -> TownsfolkError:
        if code in (401, 403):
            return FailedPrecondition(
                f"{self.name} at {self.address} wants a password; "
                "write it into pictures.address as http://user:password@host:port"
            )
        said = _message_in(body)
        if code in (404, 405) and said.lower() in ("", "not found", "method not allowed"):
            return FailedPrecondition(
                f"{self.address} does not know {path}; is that {self.name}, and its API switched on "
                "(AUTOMATIC1111: --api)?"
            )
        return error_said(self.name, said or f"HTTP {code}")


def error_said(name: str, said: str) -> TownsfolkError:
    """A server's own words as the right error: they often are the only sign of a full card."""
    short = " ".join(said.split())[:SAID_CHARACTERS]
    if "out of memory" in said.lower() or "outofmemory" in said.lower():
        return ResourceExhausted(
            f"{name} ran out of memory ({short}); order a smaller picture or start it with its low-memory option"
        )
    return FailedPrecondition(f"{name} could not paint: {short}")


def text_of(value: Any) -> str:
    """A value from a server if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def _message_in(body: bytes) -> str:
    """The most telling text in an error's JSON; for other bodies nothing."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    inner = answer.get("error")
    nested = [inner.get("message"), inner.get("details")] if isinstance(inner, dict) else [inner]
    return ": ".join(filter(None, map(text_of, [*nested, answer.get("detail"), answer.get("errors")])))


def _parsed(name: str, body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise InternalError(f"{name} answered with what is no JSON") from error


def _url(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise _bad_address(address) from error
    if url.scheme not in ("http", "https") or not url.host:
        raise _bad_address(address)
    return url


def _bad_address(address: str) -> InvalidArgument:
    return InvalidArgument(
        f"{address!r} is no address of a picture server; write it like http://127.0.0.1:8188",
        field="pictures.address",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__
