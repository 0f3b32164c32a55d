"""The concept of a story: what the first pass makes of an idea, and what the writers of the second pass are told."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict, dataclass, fields

from townsfolk.dialogue.prompt import Exchange
from townsfolk.errors import FailedPrecondition, InvalidArgument
from townsfolk.personas.schema import Sampling

MAX_FIELD_CHARACTERS = 120
MAX_CONCEPT_TOKENS = 800  # the longest concept, where a character takes two or three tokens


@dataclass(frozen=True, slots=True)
class Concept:
    """What a story is about: four lines of 1 to 120 characters."""

    title: str
    hero: str
    conflict: str
    place: str

    def as_json(self) -> str:
        """The concept as the model writes it."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def as_told(self, wish: str = "") -> str:
        """The concept as its writers are told it, in training and here. The wish comes last: what stands before it is
        found in the prefix cache when the same concept is told with another one.
        """
        lines = [f"{name.capitalize()}: {value}" for name, value in asdict(self).items()]
        return "\n".join([*lines, f"Wish: {wish}"] if wish else lines)


FIELDS = tuple(field.name for field in fields(Concept))
# Of what the model may write: less than is allowed, so that it comes to the point.
LONGEST = {"title": 60, "hero": 80, "conflict": 110, "place": 80}
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {name: {"type": "string", "minLength": 1, "maxLength": LONGEST[name]} for name in FIELDS},
        "required": list(FIELDS),
        "additionalProperties": False,
    }
)
# A small model that is to keep to an idea: likely words, and no penalty for those of the idea itself.
INVENTING = Sampling(
    temperature=0.6, top_k=0, top_p=0.95, min_p=0.08, repetition_penalty=1.05, max_tokens=MAX_CONCEPT_TOKENS
)
INVENTOR = (
    "You invent stories. You are given an idea and answer with a JSON object of four short strings: title; hero, a "
    "name and who that is; conflict, what goes wrong; place, where it happens. Keep to the idea."
)
EXAMPLES = tuple(
    Exchange("", f"Idea: {idea}", Concept(*fields).as_json())
    for idea, *fields in (
        (
            "a baker who is afraid of ovens",
            "The Cold Bakery",
            "Oskar, a baker with burnt hands",
            "the oven must be lit again before the feast",
            "a village under a snowy mountain",
        ),
        (
            "robots can dream",
            "What the Sweeper Dreamed",
            "Unit Seven, a robot that sweeps the streets",
            "it dreams of snow and will not sweep it away",
            "a city of glass towers",
        ),
        (
            "a letter that comes too late",
            "Forty Years in the Post",
            "Mrs. Adeyemi, a retired teacher",
            "the boy who asked her to marry him never got an answer",
            "a flat above a post office",
        ),
        (
            "the sea takes back an island",
            "Tomorrow's Tide",
            "Kaia, the youngest fisher on the island",
            "her grandfather will not leave the house that is sinking",
            "a sandy island in the south",
        ),
        (
            "a fox goes to school",
            "A Tail Under the Desk",
            "Rufus, a fox in a borrowed coat",
            "the teacher wants to see what is under his hat",
            "a schoolhouse at the edge of a wood",
        ),
    )
)


def read_concept(text: str) -> Concept:
    """The concept in what the model wrote under ``SCHEMA``. Raises ``FailedPrecondition`` for anything else."""
    try:
        values = json.loads(text)
        return checked_concept(Concept(**{name: values[name] for name in FIELDS}))
    except (ValueError, KeyError, TypeError, InvalidArgument) as error:
        raise FailedPrecondition(
            "the model made no usable concept of the idea; try again with another seed or in other words"
        ) from error


def checked_concept(concept: Concept) -> Concept:
    """The concept with each field on one line. Raises ``InvalidArgument`` that names the field at fault."""
    lines = {name: one_line(getattr(concept, name)) for name in FIELDS}
    for name, line in lines.items():
        if not 1 <= len(line) <= MAX_FIELD_CHARACTERS:
            raise InvalidArgument(
                f"the concept's {name} has {len(line)} characters; 1 to {MAX_FIELD_CHARACTERS} are allowed",
                field=f"concept.{name}",
            )
    return Concept(**lines)


def one_line(words: str) -> str:
    """The words without control characters, and with single spaces between them."""
    return " ".join("".join(" " if unicodedata.category(c) == "Cc" else c for c in words).split())
