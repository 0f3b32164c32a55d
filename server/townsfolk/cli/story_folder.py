"""The folder of a story: what is written into it, all at once, and how a recipe is read again."""

from __future__ import annotations

import json
import os
import re
import shutil
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from townsfolk import __version__
from townsfolk.cli.plain import to_plain
from townsfolk.cli.story_draft import Draft, DraftText
from townsfolk.errors import AlreadyExists, InvalidArgument, NotFound

if TYPE_CHECKING:
    from townsfolk.v1.daemon_pb2 import ModelInfo
    from townsfolk.v1.story_pb2 import ComposeRequest

RECIPE_FILE = "recipe.json"
FORMAT = 1
MAX_RECIPE_BYTES = 1024 * 1024
MAX_NAME_CHARACTERS = 60
DEVICE_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)  # no file names on Windows
DEFAULT_PLACE = Path("stories")


@dataclass
class Recipe:
    """Everything that is needed to make a story again. `ended` says why one is not whole."""

    request: ComposeRequest
    model: ModelInfo
    ended: str = ""
    comparison: dict[str, Any] = field(default_factory=dict)


def folder_name(words: str) -> str:
    """A name that every file system takes, after the words of an idea; letters of any script stay."""
    plain = unicodedata.normalize("NFC", words).casefold()
    name = "-".join(re.findall(r"\w+", plain))[:MAX_NAME_CHARACTERS].strip("-_")
    return f"story-{name}" if not name or DEVICE_NAMES.fullmatch(name) else name


def free_folder(wanted: Path) -> Path:
    """The folder, or the first of `wanted-2`, `wanted-3`, … that does not exist."""
    found, number = wanted, 1
    while found.exists():
        number += 1
        found = wanted.with_name(f"{wanted.name}-{number}")
    return found


def check_new(folder: Path) -> None:
    """Raise ``AlreadyExists`` for a folder that exists, ``InvalidArgument`` where none can be made."""
    if folder.exists():
        raise AlreadyExists(f"{folder} exists already, and is left as it is; name another one with --out")
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise InvalidArgument(f"{folder} cannot be made: {above} is no folder that you may write into", field="out")


def write_story(folder: Path, draft: Draft, recipe: Recipe) -> Path | None:
    """Write what is finished into a new folder, all of it or nothing. Returns the folder; ``None`` if nothing is.

    Should the folder have come into being meanwhile, a free name beside it is taken.
    """
    if draft.concept is None:
        return None
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}")
    scratch.mkdir()
    try:
        for name, content in _files(draft, recipe).items():
            (scratch / name).write_bytes(content)
        while True:
            place = free_folder(folder)
            try:
                os.rename(scratch, place)
                return place
            except OSError:
                if not place.exists():
                    raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_recipe(folder: Path) -> tuple[ComposeRequest, dict[str, Any]]:
    """The request that makes a story again, with its concept, and all of the recipe.

    Raises ``NotFound`` for a folder without a recipe, ``InvalidArgument`` for one that cannot be read.
    """
    from google.protobuf.json_format import ParseDict, ParseError

    from townsfolk.v1.story_pb2 import ComposeRequest

    path = folder / RECIPE_FILE if folder.is_dir() else folder
    if not path.is_file():
        raise NotFound(f"{folder} is no story: it holds no {RECIPE_FILE}")
    if path.stat().st_size > MAX_RECIPE_BYTES:
        raise InvalidArgument(f"{path} is too large for a recipe")
    try:
        recipe = json.loads(path.read_text("utf-8"))
        if recipe["format"] != FORMAT:
            raise InvalidArgument(f"{path} has format {recipe['format']}; this version reads {FORMAT}")
        return ParseDict(recipe["request"], ComposeRequest()), recipe
    except (ValueError, KeyError, TypeError, ParseError) as error:
        raise InvalidArgument(f"{path} is no recipe of a story: {error}") from error


def as_markdown(draft: Draft) -> str:
    """The story with its pictures, to be read."""
    assert draft.concept is not None
    pictures = [
        f"![{_escaped(picture.facts.prompt)}]({picture_name(index)})"
        for index, picture in draft.finished_pictures.items()
        if picture.facts is not None
    ]
    return "\n\n".join([f"# {draft.concept.title}", *pictures[:1], draft.story.text, *pictures[1:]]) + "\n"


def picture_name(index: int) -> str:
    return f"picture-{index + 1}.png"


def _files(draft: Draft, recipe: Recipe) -> dict[str, bytes]:
    assert draft.concept is not None
    files = {"concept.json": _json(to_plain(draft.concept)), RECIPE_FILE: _json(_recipe(draft, recipe))}
    if draft.story.finished:
        files["story.md"] = as_markdown(draft).encode()
    prompts = [draft.prompts[index].text for index in sorted(draft.prompts) if draft.prompts[index].finished]
    if prompts:
        files["prompts.txt"] = "".join(f"{' '.join(prompt.split())}\n" for prompt in prompts).encode()
    for index, picture in draft.finished_pictures.items():
        files[picture_name(index)] = bytes(picture.png)
    return files


def _recipe(draft: Draft, recipe: Recipe) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    request = type(recipe.request)()
    request.CopyFrom(recipe.request)
    request.ClearField("deadline_s")
    if draft.concept is not None:
        request.concept.CopyFrom(draft.concept)
    end = draft.end
    return {
        "format": FORMAT,
        "made_with": f"townsfolk {__version__}",
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "complete": not recipe.ended,
        "ended": recipe.ended,
        "request": MessageToDict(request, preserving_proto_field_name=True),
        "model": to_plain(recipe.model),
        "texts": [
            _text_facts("concept", draft.concept_text),
            _text_facts("story", draft.story),
            *(_text_facts(f"picture prompt {i + 1}", draft.prompts[i]) for i in sorted(draft.prompts)),
        ],
        "pictures": [
            {"file": picture_name(index), **to_plain(picture.facts), "total_s": picture.total_s}
            for index, picture in draft.finished_pictures.items()
            if picture.facts is not None
        ],
        "pictures_failed": [error.message for error in draft.failed_pictures],
        "texts_s": end.texts_s if end else None,
        "text_steps": end.text_steps if end else None,
        "comparison": recipe.comparison or None,
    }


def _text_facts(part: str, text: DraftText) -> dict[str, Any]:
    return {
        "part": part,
        "persona_id": text.persona_id,
        "adapter_digest": text.adapter_digest,
        "finished": text.finished,
        "stats": to_plain(text.stats) if text.stats is not None else None,
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def _escaped(words: str) -> str:
    return re.sub(r"([\[\]\\])", r"\\\1", " ".join(words.split()))
