"""What the daemon knows of a model that runs elsewhere: its tokenizer, family and context, from the model's files.

A Hugging Face folder needs no more than ``config.json`` and ``tokenizer.json``; no weight is read, and no torch needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from townsfolk.engine.model_name import model_name
from townsfolk.errors import FailedPrecondition, InvalidArgument, NotFound


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """``max_context`` in tokens; ``bos_id`` is -1 where the model has none."""

    name: str
    family: str
    max_context: int
    tokenizer_json: str
    bos_id: int
    eos_ids: list[int]


def read_model_files(path: Path | None) -> ModelFiles:
    """Read a Hugging Face folder or a GGUF file.

    Raises ``InvalidArgument``, ``NotFound``, or ``FailedPrecondition`` where a package for GGUF files is missing.
    """
    if path is None:
        raise InvalidArgument(
            "no model is set; set engine.model to the folder (config.json and tokenizer.json) or the GGUF file of the "
            "model that the servers run",
            field="model",
        )
    if not path.exists():
        raise NotFound(
            f"no model at {path}; engine.model names the files of the model that the servers run", field="model"
        )
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ".gguf":
        return _gguf(path)
    raise InvalidArgument(f"{path} is neither a .gguf file nor a Hugging Face model folder", field="model")


def _folder(folder: Path) -> ModelFiles:
    config = _json(folder / "config.json")
    generation = folder / "generation_config.json"
    eos = (_json(generation) if generation.exists() else {}).get("eos_token_id", config.get("eos_token_id"))
    try:
        return ModelFiles(
            name=model_name(folder.resolve()),
            family=str(config.get("model_type", "")),
            max_context=int(config["max_position_embeddings"]),
            tokenizer_json=_text(folder / "tokenizer.json"),
            bos_id=next(iter(_ids(config.get("bos_token_id"))), -1),
            eos_ids=_ids(eos),
        )
    except KeyError as missing:
        raise InvalidArgument(f"{folder / 'config.json'} lacks {missing}", field="model") from missing
    except (TypeError, ValueError) as error:
        message = f"{folder / 'config.json'} has a value of the wrong kind: {error}"
        raise InvalidArgument(message, field="model") from error


def _gguf(path: Path) -> ModelFiles:
    try:
        from townsfolk.engine.embedded.gguf_fields import GgufFields
        from townsfolk.engine.embedded.gguf_tokenizer import tokenizer_json_from_gguf
    except ImportError as error:
        raise FailedPrecondition(
            f"reading {path.name} needs {error.name}; install it with: pip install gguf, or set engine.model to the "
            "model's Hugging Face folder",
            field="model",
        ) from error
    fields = GgufFields(path)
    try:
        tokenizer_json, bos_id, eos_ids = tokenizer_json_from_gguf(fields)
    except InvalidArgument:
        raise
    except Exception as error:  # `tokenizers` raises nothing narrower
        raise InvalidArgument(f"{path} has a damaged tokenizer: {error}", field="model") from error
    context = fields.integer(f"{fields.architecture}.context_length")
    return ModelFiles(model_name(path), fields.family, context, tokenizer_json, bos_id, eos_ids)


def _ids(value: int | list[int] | None) -> list[int]:
    if value is None:
        return []
    return [int(value)] if isinstance(value, int) else [int(token) for token in value]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise InvalidArgument(f"the model folder lacks {path.name}", field="model") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path} cannot be read: {error}", field="model") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{path} is not valid JSON: {error}", field="model") from error
    if not isinstance(content, dict):
        raise InvalidArgument(f"{path} does not hold a JSON object", field="model")
    return content
