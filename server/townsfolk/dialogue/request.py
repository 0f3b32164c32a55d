"""What is asked for in a turn, checked: words, sampling, deadline.

Control characters in the words are stripped, not refused: they carry no meaning, arrive with pasted text, and a player
could not see which one to remove. Line breaks and tabs stay. Everything else over a limit is refused, never cut.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields

from pydantic import ValidationError

from townsfolk.engine.messages import SamplingParams
from townsfolk.errors import InvalidArgument
from townsfolk.personas.schema import Sampling

MAX_TEXT_CHARACTERS = 4000  # what the API promises; `daemon.max_text_bytes` bounds it further
MAX_DEADLINE_S = 600.0
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 100
MAX_SEED = 2**64 - 1


@dataclass(frozen=True, slots=True)
class SamplingOverrides:
    """What a request sets over its persona's sampling; ``None`` leaves the persona's value."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One line asked of one persona. Empty ids and a zero deadline mean that they were not given.

    ``with_cues``: the persona's emotion and action are to be decided after the line.
    """

    persona_id: str
    text: str
    situation: str = ""
    session_id: str = ""
    turn_id: str = ""
    sampling: SamplingOverrides = SamplingOverrides()
    priority: int = 0
    deadline_s: float = 0.0
    with_cues: bool = False


def clean_words(request: TurnRequest, max_bytes: int) -> tuple[str, str]:
    """The request's ``(text, situation)`` without control characters.

    Raises ``InvalidArgument`` if one of them is too long or both are empty. ``max_bytes`` counts UTF-8.
    """
    text = _clean(request.text, "text", max_bytes)
    situation = _clean(request.situation, "situation", max_bytes)
    if not text and not situation:
        raise InvalidArgument("there is nothing to answer: text and situation are both empty", field="text")
    return text, situation


def check_deadline(deadline_s: float) -> None:
    """Raise ``InvalidArgument`` unless the deadline is unset (0) or within ``MAX_DEADLINE_S``."""
    if not 0 <= deadline_s <= MAX_DEADLINE_S:  # also false for NaN
        raise InvalidArgument(
            f"deadline_s must be above 0 and at most {MAX_DEADLINE_S:g}, not {deadline_s:g}", field="deadline_s"
        )


def merged_sampling(persona: Sampling, asked: SamplingOverrides) -> SamplingParams:
    """The persona's sampling with the request's over it; a fresh seed where none was given.

    Raises ``InvalidArgument`` that names the field, such as ``sampling.top_p``.
    """
    given = {f.name: getattr(asked, f.name) for f in fields(asked) if f.name in Sampling.model_fields}
    overrides = {name: value for name, value in given.items() if value is not None}
    try:
        merged = Sampling.model_validate({**persona.model_dump(), **overrides})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidArgument(f"sampling.{name}: {first['msg']}", field=f"sampling.{name}") from error
    seed = secrets.randbits(64) if asked.seed is None else asked.seed
    if not 0 <= seed <= MAX_SEED:
        raise InvalidArgument("sampling.seed must be an unsigned 64-bit number", field="sampling.seed")
    return SamplingParams(**merged.model_dump(), seed=seed)


def merged_stops(persona: Sequence[str], asked: Sequence[str]) -> list[str]:
    """The persona's stop strings and the request's. Raises ``InvalidArgument`` for too many or too long ones."""
    if len(asked) > MAX_STOPS:
        raise InvalidArgument(f"{len(asked)} stop strings; {MAX_STOPS} are allowed", field="sampling.stop")
    for stop in asked:
        if not 1 <= len(stop) <= MAX_STOP_CHARACTERS:
            raise InvalidArgument(
                f"a stop string has {len(stop)} characters; 1 to {MAX_STOP_CHARACTERS} are allowed",
                field="sampling.stop",
            )
    return list(dict.fromkeys([*persona, *asked]))


def _clean(words: str, field: str, max_bytes: int) -> str:
    size = len(words.encode())
    if len(words) > MAX_TEXT_CHARACTERS or size > max_bytes:
        raise InvalidArgument(
            f"{field} has {len(words)} characters ({size} bytes); at most {MAX_TEXT_CHARACTERS} characters "
            f"and {max_bytes} bytes are allowed",
            field=field,
        )
    words = words.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in words if c in "\n\t" or unicodedata.category(c) != "Cc").strip()
