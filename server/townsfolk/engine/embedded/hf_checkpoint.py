"""Hugging Face model folders: ``config.json``, ``tokenizer.json`` and safetensors shards. Nothing else is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from townsfolk.engine.embedded.checkpoint import refuse_unused_biases
from townsfolk.engine.embedded.spec import ModelSpec, rotary_inverse_frequencies
from townsfolk.engine.model_name import model_name
from townsfolk.errors import InvalidArgument

DEFAULT_ROPE_BASE = 10_000.0


class HfCheckpoint:
    """A folder as ``save_pretrained`` writes it (safetensors only; pickled weights are refused)."""

    def __init__(self, folder: Path) -> None:
        config = _read_json(folder / "config.json")
        self.spec = _spec_from_config(folder, config)
        rope = config.get("rope_parameters") or {}
        base = float(rope.get("rope_theta") or config.get("rope_theta") or DEFAULT_ROPE_BASE)
        scaling = config.get("rope_scaling") or rope or None
        self.inverse_frequencies = rotary_inverse_frequencies(self.spec.head_dim, base, scaling)
        self.tokenizer_json = _read_text(folder / "tokenizer.json")
        self.bos_id = _first(config.get("bos_token_id"))
        self.eos_ids = _ids(_generation_config(folder).get("eos_token_id", config.get("eos_token_id")))
        self._files = ExitStack()
        self._where: dict[str, Any] = {}
        for shard in _shards(folder):
            try:
                handle = self._files.enter_context(safe_open(shard, framework="pt"))
            except (SafetensorError, OSError) as error:
                raise InvalidArgument(f"{shard} is damaged or cut short: {error}", field="model") from error
            self._where.update(dict.fromkeys(handle.keys(), handle))
        refuse_unused_biases(folder, self._where)

    def tensor(self, name: str) -> torch.Tensor:
        if name not in self._where:
            raise InvalidArgument(f"the model lacks the tensor {name}", field="model")
        tensor: torch.Tensor = self._where[name].get_tensor(name)
        return tensor

    def names(self) -> Iterator[str]:
        return iter(self._where)


def _spec_from_config(folder: Path, config: dict[str, Any]) -> ModelSpec:
    family = str(config.get("model_type", ""))
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        context = int(config["max_position_embeddings"])
        window = config.get("sliding_window")
        if window and config.get("use_sliding_window", family == "mistral"):
            context = min(context, int(window))  # within the window a sliding one is the same as a full one
        return ModelSpec(
            name=model_name(folder.resolve()),
            family=family,
            vocab_size=int(config["vocab_size"]),
            hidden_size=hidden,
            num_layers=int(config["num_hidden_layers"]),
            num_heads=heads,
            num_kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or hidden // max(heads, 1)),
            ffn_size=int(config["intermediate_size"]),
            norm_eps=float(config["rms_norm_eps"]),
            max_context=context,
            tied_embeddings=bool(config.get("tie_word_embeddings", False)),
            qkv_bias=family == "qwen2" or bool(config.get("attention_bias", False)),
            qk_norm=family == "qwen3",
        )
    except KeyError as missing:
        raise InvalidArgument(f"{folder / 'config.json'} lacks {missing}", field="model") from missing
    except (TypeError, ValueError) as error:
        message = f"{folder / 'config.json'} has a value of the wrong kind: {error}"
        raise InvalidArgument(message, field="model") from error


def _shards(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            return [folder / name for name in sorted(set(_read_json(index)["weight_map"].values()))]
        except (KeyError, AttributeError, TypeError) as error:
            raise InvalidArgument(f"{index} does not say which tensor is where", field="model") from error
    single = folder / "model.safetensors"
    if not single.exists():
        raise InvalidArgument(f"{folder} has no model.safetensors; only safetensors weights are read", field="model")
    return [single]


def _generation_config(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    return _read_json(path) if path.exists() else {}


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise InvalidArgument(f"the model folder lacks {path.name}", field="model") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{path} is not UTF-8 text", field="model") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{path} is not valid JSON: {error}", field="model") from error
    if not isinstance(content, dict):
        raise InvalidArgument(f"{path} does not hold a JSON object", field="model")
    return content


def _ids(value: int | list[int] | None) -> list[int]:
    if value is None:
        return []
    return [value] if isinstance(value, int) else list(value)


def _first(value: int | list[int] | None) -> int:
    return (_ids(value) or [-1])[0]
