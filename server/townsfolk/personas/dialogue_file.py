"""The format of a persona's ``dialogue.jsonl``: one exchange a line, and what is wrong with a bad one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from townsfolk.errors import InvalidArgument, NotFound

DIALOGUE_FILE = "dialogue.jsonl"
MAX_FILE_BYTES = 16 * 1024 * 1024


class DialogueLine(BaseModel):
    """One exchange: the scene (may be empty), what the player says, what the character answers aloud.

    For a task: nothing, what it is given, what it makes of it. A text to work on may fill most of a training example.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    situation: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""
    player: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
    reply: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of the file that are not blank, with their numbers, not yet parsed.

    Raises ``NotFound`` where there is no file, ``InvalidArgument`` for one that cannot be read.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidArgument(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB", field=DIALOGUE_FILE)
        lines = path.read_text("utf-8").split("\n")
    except FileNotFoundError as error:
        raise NotFound(f"{path.parent} has no {path.name} to train on", field=DIALOGUE_FILE) from error
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be read: {error.strerror}", field=DIALOGUE_FILE) from error
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{path} is not UTF-8 text", field=DIALOGUE_FILE) from error
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def parse_line(line: str) -> DialogueLine:
    """The exchange in one line. Raises ``InvalidArgument`` that says what is wrong, but not where."""
    try:
        return DialogueLine.model_validate(json.loads(line))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidArgument(f"not valid JSON: {error}", field=DIALOGUE_FILE) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if not key:
            raise InvalidArgument("the line is not a JSON object", field=DIALOGUE_FILE) from error
        if first["type"] == "extra_forbidden":
            keys = ", ".join(DialogueLine.model_fields)
            raise InvalidArgument(f"{key}: unknown key; the keys are {keys}", field=DIALOGUE_FILE) from error
        raise InvalidArgument(f"{key}: {first['msg']}", field=DIALOGUE_FILE) from error
