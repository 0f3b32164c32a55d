"""All settings with their limits, read from one TOML file and checked at once.

Every value has a default, so a config file is optional; unknown keys are errors.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from townsfolk.engine.remote.settings import RemoteSettings
from townsfolk.errors import InvalidArgument

DEFAULT_PORT = 50551
MEBIBYTE = 1024 * 1024


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineSettings(_Settings):
    """``[engine]``: which model runs where, and how much memory it may take."""

    model: Path | None = Field(
        None, description="GGUF file or Hugging Face folder; `serve` fills in the model of `models pull`"
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    dtype: Literal["auto", "int8", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: int8 on a CPU with a kernel for it, else bf16 where the hardware has it"
    )
    threads: int = Field(0, ge=0, le=1024, description="CPU threads; 0: one per physical core")
    share_cores: bool = Field(False, description="let waiting threads sleep: slower alone, faster beside a busy game")
    max_running: int = Field(32, ge=1, le=1024, description="lines decoded together")
    max_waiting: int = Field(512, ge=0, le=100_000, description="lines that may wait for a place")
    max_context: int = Field(2048, ge=64, le=1_048_576, description="tokens of prompt and reply together")
    prefill_chunk: int = Field(128, ge=1, le=65_536, description="prompt tokens a step reads while others speak")
    max_rank: int = Field(64, ge=1, le=512, description="largest LoRA rank accepted")
    adapter_columns: int = Field(128, ge=8, le=65_536, description="sum of the ranks of resident adapters")
    adapter_slots: int = Field(64, ge=1, le=4096, description="adapters resident together")
    host_adapter_bytes: int = Field(512 * MEBIBYTE, ge=0, description="adapters kept in host memory")
    prefix_cache_tokens: int = Field(16_384, ge=0, le=100_000_000, description="tokens whose KV is kept for reuse")
    keep_prepared: bool = Field(
        True,
        description="keep packed weights in the cache folder: quicker starts for disk space of about the model's size",
    )
    restart_backoff_s: float = Field(
        0.5, gt=0, le=60, description="pause before a dead engine is started again; doubles"
    )
    start_timeout_s: float = Field(300.0, gt=0, description="how long loading the model may take")
    remote: RemoteSettings = RemoteSettings()  # type: ignore[call-arg]


class DaemonSettings(_Settings):
    """``[daemon]``: where it listens, who may call, and how much it holds."""

    address: str = Field(f"127.0.0.1:{DEFAULT_PORT}", description="host:port or unix:/path")
    token: str = Field("", description="bearer token that callers must send; required off loopback")
    token_file: Path | None = Field(None, description="file that holds the token")
    tls_certificate: Path | None = Field(None, description="PEM certificate chain; required off loopback")
    tls_key: Path | None = Field(None, description="PEM private key")
    max_queued_turns: int = Field(256, ge=1, le=100_000, description="turns admitted and not yet finished")
    max_sessions: int = Field(10_000, ge=1, le=10_000_000, description="sessions open at a time")
    max_history_exchanges: int = Field(64, ge=0, le=10_000, description="exchanges a session remembers")
    max_text_bytes: int = Field(16_384, ge=64, le=MEBIBYTE, description="one player's line, UTF-8")
    max_stream_turns: int = Field(64, ge=1, le=10_000, description="turns at once in one Converse stream")
    default_deadline_s: float = Field(120.0, gt=0, le=3600, description="for callers that set none")
    resume_grace_s: float = Field(
        5.0,
        ge=0,
        le=120,
        description="how long a line whose stream broke runs on for Resume; 0: not at all",
    )
    drain_grace_s: float = Field(10.0, ge=0, le=600, description="how long lines in flight may finish at shutdown")
    exit_when_idle_s: float = Field(0.0, ge=0, description="stop after so long without a client; 0: never")


class PersonaSettings(_Settings):
    """``[personas]``: where characters live."""

    folders: list[Path] = Field(
        default_factory=list, description="searched in order; default: ./personas, then shipped ones"
    )
    max_personas: int = Field(10_000, ge=1, le=1_000_000)


class Settings(_Settings):
    """The whole of ``townsfolk.toml``."""

    daemon: DaemonSettings = DaemonSettings()  # type: ignore[call-arg]
    engine: EngineSettings = EngineSettings()  # type: ignore[call-arg]
    personas: PersonaSettings = PersonaSettings()  # type: ignore[call-arg]


def read_settings(path: Path | None) -> Settings:
    """Settings from a TOML file, or the defaults for ``None``.

    Raises ``InvalidArgument`` that names the file and the key.
    """
    if path is None:
        return Settings()
    try:
        return Settings.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be read: {error.strerror}", field="config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}", field="config") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InvalidArgument(f"{path}: {key}: {first['msg']}", field=key) from error
