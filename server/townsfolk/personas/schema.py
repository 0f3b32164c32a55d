"""What a ``persona.toml`` may say. Unknown keys are errors, so that a misspelt one is not silently ignored."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from townsfolk.errors import InvalidArgument

MAX_PERSONA_BYTES = 256 * 1024  # a persona is a page or two; a megabyte is a mistake

PersonaId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
PersonaKind = Literal["character", "task"]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sampling(_Strict):
    """Defaults of a persona's lines; a request may override each. ``max_tokens`` counts reply tokens."""

    temperature: float = Field(0.7, ge=0.0, le=4.0)
    top_k: int = Field(0, ge=0, le=1_000_000)
    top_p: float = Field(0.95, gt=0.0, le=1.0)
    min_p: float = Field(0.0, ge=0.0, lt=1.0)
    repetition_penalty: float = Field(1.1, ge=0.5, le=4.0)
    max_tokens: int = Field(80, ge=1, le=2048)


class Training(_Strict):
    """What ``townsfolk train`` takes where its options say nothing."""

    epochs: int | None = Field(None, ge=1, le=1000)


class Fallback(_Strict):
    """A line to speak when the model cannot: ``busy`` (queue full), ``timeout`` (deadline), ``error`` (engine down)."""

    line: Line
    when: Literal["busy", "timeout", "error"]


class ActionSpec(_Strict):
    """Something the game lets this character do. ``args`` maps argument names to JSON schemas."""

    name: Word
    description: Annotated[str, StringConstraints(max_length=300)] = ""
    args: dict[str, dict[str, Any]] = Field(default_factory=dict, max_length=16)


class LoreEntry(_Strict):
    """A fact that belongs into the prompt when one of its keys comes up."""

    keys: list[Annotated[str, StringConstraints(min_length=1, max_length=100)]] = Field(min_length=1, max_length=32)
    text: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Persona(_Strict):
    """A character, or a task such as writing a story. ``system`` is what the model reads; ``voice`` is for people."""

    id: PersonaId
    kind: PersonaKind = "character"
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    summary: Annotated[str, StringConstraints(max_length=300)] = ""
    voice: Annotated[str, StringConstraints(max_length=2000)] = ""
    system: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8000)]
    sampling: Sampling = Sampling()  # type: ignore[call-arg]
    training: Training = Training()  # type: ignore[call-arg]
    stop: list[Annotated[str, StringConstraints(min_length=1, max_length=100)]] = Field([], max_length=16)
    emotions: list[Word] = Field([], max_length=32)
    fallback: list[Fallback] = Field([], max_length=64)
    actions: list[ActionSpec] = Field([], max_length=32)
    lore: list[LoreEntry] = Field([], max_length=512)


def read_persona(folder: Path) -> Persona:
    """The persona in ``folder/persona.toml``.

    Raises ``InvalidArgument`` that names the file, the line or the key, and what is wrong with it.
    """
    path = folder / "persona.toml"
    try:
        if path.stat().st_size > MAX_PERSONA_BYTES:
            raise InvalidArgument(f"{path} is larger than {MAX_PERSONA_BYTES // 1024} KiB", field="persona.toml")
        document = tomllib.loads(path.read_text("utf-8"))
        persona = Persona.model_validate(document)
    except FileNotFoundError as error:
        raise InvalidArgument(f"{folder} has no persona.toml", field="persona.toml") from error
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be read: {error.strerror}", field="persona.toml") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{path} is not UTF-8 text", field="persona.toml") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}", field="persona.toml") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InvalidArgument(f"{path}: {key}: {first['msg']}", field=key) from error
    if persona.id != folder.name:
        raise InvalidArgument(f"{path}: id is {persona.id!r} but its folder is named {folder.name!r}", field="id")
    return persona
