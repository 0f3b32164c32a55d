"""What a request is made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tensorrt_llm._signatures import fields_of


def _field(name: str, required: bool, value: Any, factory: Any) -> Any:
    if required:
        return (name, Any)
    return (name, Any, dataclasses.field(default_factory=factory) if factory else dataclasses.field(default=value))


def _dataclass(name: str, **options: Any) -> Any:
    fields = [_field(field, *default) for field, default in fields_of(name).items()]
    return dataclasses.make_dataclass(name, fields, **options)


class GuidedDecodingParams(_dataclass("GuidedDecodingParams", kw_only=True)):  # type: ignore[misc]
    def guides(self) -> int:
        return sum(bool(getattr(self, f.name)) for f in dataclasses.fields(self))


class SamplingParams(_dataclass("SamplingParams", kw_only=True)):  # type: ignore[misc]
    def __post_init__(self) -> None:
        self._stream_interval: int | None = None
        if self.top_p is not None and not 0 <= self.top_p <= 1:
            raise ValueError("require 0 <= top_p <= 1")
        if self.top_k is not None and self.top_k < 0:
            raise ValueError("require top_k >= 0")
        if self.temperature is not None and self.temperature < 0:
            raise ValueError("require temperature >= 0")
        if self.guided_decoding is not None and self.guided_decoding.guides() > 1:  # rule "one_guide"
            raise ValueError("only one guide can be used")

    @property
    def greedy(self) -> bool:
        none = self.temperature is None and self.top_p is None and self.top_k is None
        return none or self.top_k == 1 or self.top_p == 0 or self.temperature == 0


@dataclasses.dataclass(slots=True)
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str = ""
    lora_ckpt_source: str = "hf"

    def __post_init__(self) -> None:
        if self.lora_path is not None and not Path(self.lora_path).exists():  # rule "lora_path"
            raise ValueError(f"lora_path ({self.lora_path}) does not exist.")
        if self.lora_ckpt_source not in ("hf", "nemo"):
            raise ValueError(f"lora_ckpt_source ({self.lora_ckpt_source}) is not supported")


class KvCacheRetentionConfig:
    class TokenRangeRetentionConfig:
        def __init__(self, token_start: int, token_end: int | None, priority: int, duration_ms: Any = None) -> None:
            if not 0 <= priority <= 100:
                raise ValueError("priority is 0 to 100")
            self.token_start, self.token_end, self.priority = token_start, token_end, priority
            self.duration_ms = duration_ms

    def __init__(
        self,
        token_range_retention_configs: list[KvCacheRetentionConfig.TokenRangeRetentionConfig],
        decode_retention_priority: int = 35,
        decode_duration_ms: Any = None,
        transfer_mode: Any = None,
        directory: str | None = None,
    ) -> None:
        self.token_range_retention_configs = token_range_retention_configs
        self.decode_retention_priority = decode_retention_priority
