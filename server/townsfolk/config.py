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


class TensorRtLlmSettings(_Settings):
    """``[engine.tensorrt_llm]``: what only the TensorRT-LLM engine knows."""

    tensor_parallel: int = Field(1, ge=1, le=64, description="GPUs that share the model")
    kv_cache_fraction: float = Field(
        0.8, gt=0, lt=1, description="of the GPU memory that is free beside the model, how much keeps KV"
    )
    kv_cache_dtype: Literal["auto", "fp8"] = Field("auto", description="fp8 halves the KV cache, on Ada and newer")
    host_kv_cache_bytes: int = Field(0, ge=0, description="KV moved to host memory rather than dropped; 0: none")
    max_gpu_adapters: int = Field(8, ge=1, le=1024, description="adapters of max_rank in GPU memory together")
    max_host_adapters: int = Field(16, ge=1, le=10_000, description="adapters of max_rank in its host memory together")
    max_distinct_adapters: int = Field(
        256,
        ge=1,
        le=100_000,
        description="adapters read before the engine is built anew: TensorRT-LLM never lets go of one by itself",
    )
    guided_decoding: Literal["xgrammar", "llguidance", "off"] = Field(
        "xgrammar", description="what holds lines to a JSON schema"
    )
    sampler: Literal["auto", "TorchSampler", "TRTLLMSampler"] = Field(
        "auto", description="TensorRT-LLM's sampler_type; releases after 1.3 know only the first two"
    )
    cuda_graphs: bool = Field(True, description="replay decode steps as CUDA graphs")
    quantised_from: Path | None = Field(
        None, description="folder of the model that a quantised one was made from, which adapters were trained on"
    )


class EngineSettings(_Settings):
    """``[engine]``: which model runs where, and how much memory it may take."""

    kind: Literal["auto", "embedded", "tensorrt_llm", "remote"] = Field(
        "auto", description="what computes; auto: tensorrt_llm where it can, else embedded"
    )
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
    tensorrt_llm: TensorRtLlmSettings = TensorRtLlmSettings()  # type: ignore[call-arg]
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
    metrics_address: str = Field("", description="host:port for Prometheus to scrape at /metrics; empty: none")
    drain_grace_s: float = Field(10.0, ge=0, le=600, description="how long lines in flight may finish at shutdown")
    exit_when_idle_s: float = Field(0.0, ge=0, description="stop after so long without a client; 0: never")


class PersonaSettings(_Settings):
    """``[personas]``: where characters live."""

    folders: list[Path] = Field(
        default_factory=list, description="searched in order; default: ./personas, then shipped ones"
    )
    max_personas: int = Field(10_000, ge=1, le=1_000_000)


class PictureSettings(_Settings):
    """``[pictures]``: what paints the pictures of stories, and how."""

    kind: Literal["auto", "none", "diffusers", "comfyui", "automatic1111"] = Field(
        "auto", description="auto: a server at `address`, else diffusers with `model`, else a server on this machine"
    )
    model: str = Field(
        "", description="diffusers: SDXL folder or hub name; a server: its checkpoint's name, empty for what it has"
    )
    address: str = Field(
        "", description="URL of the ComfyUI or AUTOMATIC1111 server; empty: its usual port on this machine"
    )
    workflow: Path | None = Field(None, description="ComfyUI: your own workflow in API format, with placeholders")
    style: str = Field("", max_length=200, description="put in front of every prompt, such as `ink and watercolour`")
    negative_prompt: str = Field("", max_length=4000, description="what pictures are not to show")
    width: int = Field(512, ge=64, le=2048, multiple_of=8, description="pixels")
    height: int = Field(512, ge=64, le=2048, multiple_of=8, description="pixels")
    steps: int = Field(0, ge=0, le=100, description="denoising steps; 0: what suits the model")
    guidance: float | None = Field(None, ge=0, le=30, description="guidance scale; unset: what suits the model")
    device: str = Field("auto", description="diffusers: auto, cpu, mps, cuda or cuda:N")
    memory: Literal["auto", "full", "offload", "smallest"] = Field(
        "auto",
        description="diffusers on a card: all of the model there, a part at a time, or a layer at a time; "
        "auto: by the memory that is free",
    )
    threads: int = Field(0, ge=0, le=1024, description="diffusers on a CPU: threads; 0: one per physical core")
    download: bool = Field(False, description="diffusers: fetch a hub model that is not on this machine (several GB)")
    unload_after_s: float = Field(
        300.0, ge=0, description="diffusers: free the model after so long without an order; 0: never"
    )
    start_timeout_s: float = Field(600.0, gt=0, description="how long loading the model may take")
    timeout_s: float = Field(600.0, gt=0, le=86_400, description="how long one picture may take")
    max_waiting: int = Field(16, ge=0, le=10_000, description="pictures that may wait for the one being painted")


class Settings(_Settings):
    """The whole of ``townsfolk.toml``."""

    daemon: DaemonSettings = DaemonSettings()  # type: ignore[call-arg]
    engine: EngineSettings = EngineSettings()  # type: ignore[call-arg]
    personas: PersonaSettings = PersonaSettings()  # type: ignore[call-arg]
    pictures: PictureSettings = PictureSettings()  # type: ignore[call-arg]


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
