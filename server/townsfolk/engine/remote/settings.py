"""``[engine.remote]``: which servers make the lines, and how patient the daemon is with them."""

from __future__ import annotations

import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from townsfolk.errors import InvalidArgument

ServerKind = Literal["vllm", "sglang", "trtllm_serve", "nim", "lorax", "llama_cpp"]
MAX_KEY_BYTES = 4096
MAX_ENDPOINTS_FILE_BYTES = 1024 * 1024


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EndpointSettings(_Settings):
    """``[[engine.remote.endpoints]]``: one server."""

    url: str = Field(description="http://host:port or https://host:port, with a path before /v1 if there is one")
    server: ServerKind = Field("vllm", description="what runs there: vllm, sglang, trtllm_serve, nim, lorax, llama_cpp")
    model: str = Field("", description="the base model's name there; default: what the server lists")
    draining: bool = Field(False, description="finish its lines, give it no new ones")

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no address of a server; write http://host:port or https://host:port")
        if parts.username is not None or parts.password is not None:
            raise ValueError("keep keys out of addresses: use engine.remote.api_key_file")
        return url.rstrip("/")

    @property
    def on_this_machine(self) -> bool:
        """Whether what is sent there stays on this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


class RemoteSettings(_Settings):
    """``[engine.remote]``: servers with an OpenAI-compatible API that hold the same base model."""

    endpoints: list[EndpointSettings] = Field(default_factory=list, description="the servers")
    endpoints_file: Path | None = Field(
        None, description="TOML file of more [[endpoints]], read again whenever it changes"
    )
    api_key_file: Path | None = Field(None, description="file that holds the key which the servers ask for")
    ca_file: Path | None = Field(None, description="PEM certificates to trust instead of the usual ones")
    plain_http: bool = Field(False, description="allow http:// to other machines, as inside a private network")
    adapter_store: Path | None = Field(
        None, description="folder shared with the servers; adapters are copied there before they are loaded"
    )
    adapter_store_on_server: str = Field(
        "", description="the same folder as the servers see it; default: the same path"
    )
    push_adapters: bool = Field(True, description="load and unload adapters; false: the servers have them already")
    verify_adapters: bool = Field(True, description="speak one short line with every adapter before it is used")
    max_adapters: int = Field(256, ge=1, le=100_000, description="adapters kept loaded on one server")
    max_lines: int = Field(256, ge=1, le=10_000, description="lines in flight on one server")
    send_priority: bool = Field(False, description="pass priorities on, to servers that schedule by them")
    retries: int = Field(2, ge=0, le=10, description="further tries, here or elsewhere, before a line's first token")
    connect_timeout_s: float = Field(5.0, gt=0, le=300)
    first_token_timeout_s: float = Field(60.0, gt=0, le=3600, description="queue and prompt of a line")
    token_timeout_s: float = Field(30.0, gt=0, le=3600, description="between two tokens")
    load_timeout_s: float = Field(120.0, gt=0, le=3600, description="loading one adapter")
    health_interval_s: float = Field(2.0, gt=0, le=600, description="how often servers are asked whether they are well")


def check_endpoints(endpoints: list[EndpointSettings], settings: RemoteSettings) -> None:
    """Raise ``InvalidArgument`` for servers given twice, and for such as players' words would reach in the open."""
    urls = [endpoint.url for endpoint in endpoints]
    for url in urls:
        if urls.count(url) > 1:
            raise InvalidArgument(f"the endpoint {url} is given twice", field="engine.remote.endpoints")
    for endpoint in endpoints:
        if endpoint.url.startswith("http://") and not endpoint.on_this_machine and not settings.plain_http:
            raise InvalidArgument(
                f"{endpoint.url} is on another machine and not encrypted; use https://, or set "
                "engine.remote.plain_http = true inside a private network",
                field="engine.remote.endpoints",
            )


def named_endpoints(settings: RemoteSettings) -> list[EndpointSettings]:
    """All servers: those of the settings, then those of ``endpoints_file``. Raises ``InvalidArgument``."""
    endpoints = list(settings.endpoints)
    if settings.endpoints_file is not None:
        endpoints += read_endpoints_file(settings.endpoints_file)
    check_endpoints(endpoints, settings)
    return endpoints


class _EndpointsFile(_Settings):
    endpoints: list[EndpointSettings] = Field(default_factory=list)


def read_endpoints_file(path: Path) -> list[EndpointSettings]:
    """The servers of ``endpoints_file``. Raises ``InvalidArgument`` that names the file and the key."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_ENDPOINTS_FILE_BYTES + 1)
        if len(content) > MAX_ENDPOINTS_FILE_BYTES:
            raise InvalidArgument(
                f"{path} is larger than {MAX_ENDPOINTS_FILE_BYTES // 1024} KiB", field="endpoints_file"
            )
        return _EndpointsFile.model_validate(tomllib.loads(content.decode("utf-8"))).endpoints
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be read: {error.strerror}", field="endpoints_file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}", field="endpoints_file") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InvalidArgument(f"{path}: {key}: {first['msg']}", field=key) from error


def read_api_key(settings: RemoteSettings) -> str:
    """The key in ``api_key_file``; empty without one. Raises ``InvalidArgument``."""
    path = settings.api_key_file
    if path is None:
        return ""
    try:
        with path.open(encoding="utf-8") as file:
            key = file.read(MAX_KEY_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f"engine.remote.api_key_file {path} cannot be read: {error}", field="api_key_file"
        ) from error
    if not key or not key.isprintable() or not key.isascii():
        raise InvalidArgument(f"engine.remote.api_key_file {path} holds no key", field="api_key_file")
    return key
