"""Settings as pydantic models with the contract's fields."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, create_model

from tensorrt_llm._signatures import fields_of


def _model(name: str, base: type | None = None, **config: Any) -> Any:
    fields: dict[str, Any] = {}
    for field, (required, value, factory) in fields_of(name).items():
        if required:
            fields[field] = (Any, ...)
        else:
            fields[field] = (Any, Field(default_factory=factory) if factory else value)
    return create_model(name, __config__=ConfigDict(**config), **fields)


KvCacheConfig = _model("KvCacheConfig", extra="forbid")  # rule "unknown_keyword"
LoraConfig = _model("LoraConfig", extra="ignore")  # the same rule: here they vanish
TorchLlmArgs = _model("TorchLlmArgs", extra="forbid")
_CudaGraphFields = _model("CudaGraphConfig", extra="forbid")


class CudaGraphConfig(_CudaGraphFields):  # type: ignore[misc, valid-type]
    def model_post_init(self, context: Any) -> None:
        if self.batch_sizes and self.max_batch_size:  # rule "graph_sizes"
            raise ValueError("give batch_sizes or max_batch_size")
        if self.max_batch_size < 0:
            raise ValueError("max_batch_size is negative")
