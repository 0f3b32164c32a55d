"""The metadata of GGUF files, without their tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from townsfolk.errors import InvalidArgument

# GGUF has no architecture of its own for Mistral: it is stored, and behaves, as llama; its name tells which one it is.
FAMILY_OF_ARCHITECTURE = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}


class _Reader(gguf.GGUFReader):
    """Reads by plain views of the mapped file; every view of a ``memmap`` is an object of several times the cost."""

    @property
    def data(self) -> Any:
        return self._data

    @data.setter
    def data(self, mapped: Any) -> None:
        self._data = mapped.view(np.ndarray)


class GgufFields:
    """Typed access to GGUF metadata; a missing or odd value is an ``InvalidArgument`` that names the key.

    ``reader`` gives access to the tensors. Raises ``InvalidArgument`` for what is no GGUF file, or of a model that is
    not supported.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.reader = _Reader(str(path))
        except (ValueError, OSError, IndexError, UnicodeDecodeError) as error:
            raise InvalidArgument(f"{path} is damaged, cut short or not a GGUF file: {error}", field="model") from error
        self.architecture = self.text("general.architecture")
        if self.architecture not in FAMILY_OF_ARCHITECTURE:
            known = ", ".join(FAMILY_OF_ARCHITECTURE)
            raise InvalidArgument(
                f"{path} holds a model of architecture {self.architecture!r}; supported are {known}", field="model"
            )

    @property
    def family(self) -> str:
        """The model's family, as ``ModelSpec`` has it."""
        is_mistral = self.architecture == "llama" and "mistral" in str(self.get("general.name", "")).lower()
        return "mistral" if is_mistral else FAMILY_OF_ARCHITECTURE[self.architecture]

    def get(self, key: str, default: Any = None) -> Any:
        field = self.reader.fields.get(key)
        try:
            return default if field is None else field.contents()
        except (ValueError, IndexError) as error:
            raise InvalidArgument(f"{self._path} has a damaged {key}: {error}", field="model") from error

    def text(self, key: str) -> str:
        return str(self._required(key))

    def number(self, key: str, default: float | None = None) -> float:
        value = self.get(key, default)
        try:
            return float(self._required(key) if value is None else value)
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"{self._path} has no number in {key}: {error}", field="model") from error

    def integer(self, key: str, default: int | None = None) -> int:
        return int(self.number(key, default))

    def _required(self, key: str) -> Any:
        value = self.get(key)
        if value is None:
            raise InvalidArgument(f"{self._path} lacks {key}", field="model")
        return value
