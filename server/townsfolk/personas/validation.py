"""Everything wrong with a persona's folder, found without a model: what ``personas validate`` and the API report."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from townsfolk.engine.adapter_files import TRAINING_FILE, read_adapter_config
from townsfolk.errors import TownsfolkError
from townsfolk.personas.schema import Persona, read_persona

PERSONA_FILE = "persona.toml"
DIALOGUE_FILE = "dialogue.jsonl"
ADAPTERS_FOLDER = "adapters"
MAX_PROBLEMS = 100
MAX_DIALOGUE_BYTES = 16 * 1024 * 1024  # as in training/dataset.py
LONG_SYSTEM_CHARACTERS = 3000  # about 750 tokens: a third of a 2048-token context, in every prompt
DIALOGUE_KEYS = {"situation": (0, 500), "player": (1, 2000), "reply": (1, 1000)}  # characters, as in training


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong. ``file`` is relative to the persona's folder, ``line`` counts from 1 (0: not known)."""

    message: str
    file: str = PERSONA_FILE
    line: int = 0
    field: str = ""
    warning: bool = False  # the persona works, but perhaps not as meant

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{self.field}: {self.message}" if self.field else self.message
        return f"{'warning: ' if self.warning else ''}{place}: {what}"


def validate_persona(folder: Path, model_name: str = "") -> list[str]:
    """All problems of the persona in ``folder`` as sentences, errors first; empty for a sound one.

    ``model_name`` is the base model whose adapter is checked; empty checks the adapters for all models.
    """
    return [str(problem) for problem in find_problems(folder, model_name)]


def find_problems(folder: Path, model_name: str = "") -> list[Problem]:
    """All problems of the persona in ``folder``, errors first, at most ``MAX_PROBLEMS``."""
    problems: list[Problem] = []
    try:
        problems += _prompt_problems(read_persona(folder))
    except TownsfolkError as error:
        problems += toml_problems(_read_text(folder / PERSONA_FILE)) or [Problem(error.message, field=error.field)]
    problems += _adapter_problems(folder, model_name)
    problems += _dialogue_problems(folder / DIALOGUE_FILE)
    return sorted(problems, key=lambda problem: problem.warning)[:MAX_PROBLEMS]


def toml_problems(text: str) -> list[Problem]:
    """All problems in the text of a ``persona.toml``."""
    if not text:
        return []
    try:
        return _prompt_problems(Persona.model_validate(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        return [Problem(f"not valid TOML: {error}")]
    except ValidationError as error:
        return [Problem(found["msg"], field=_path(found["loc"])) for found in error.errors()[:MAX_PROBLEMS]]


def _path(parts: tuple[int | str, ...]) -> str:
    """``("actions", 2, "name")`` as ``actions[2].name``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # read_persona has told why


def _prompt_problems(persona: Persona) -> list[Problem]:
    problems = []
    if len(persona.system) > LONG_SYSTEM_CHARACTERS:
        message = (
            f"{len(persona.system)} characters are part of every prompt; beyond {LONG_SYSTEM_CHARACTERS} "
            "little room is left for the conversation"
        )
        problems.append(Problem(message, field="system", warning=True))
    for name, items in (("actions", [a.name for a in persona.actions]), ("emotions", persona.emotions)):
        problems += [
            Problem(f"{item!r} stands there twice", field=name, warning=True)
            for item in dict.fromkeys(items)
            if items.count(item) > 1
        ]
    return problems


def _adapter_problems(folder: Path, model_name: str) -> list[Problem]:
    try:
        names = sorted(path.name for path in (folder / ADAPTERS_FOLDER).iterdir() if path.is_dir())
    except OSError:
        return []  # no adapter: the persona speaks by its prompt
    names = [name for name in names if not name.startswith(".")]
    if model_name and names and model_name not in names:
        message = f"there are adapters for {', '.join(names)}, but none for {model_name}"
        return [Problem(message, file=ADAPTERS_FOLDER, warning=True)]
    problems = []
    for name in names:
        if model_name and name != model_name:
            continue
        place = f"{ADAPTERS_FOLDER}/{name}"
        try:
            read_adapter_config(folder / ADAPTERS_FOLDER / name)
        except TownsfolkError as error:
            problems.append(Problem(error.message, file=place))
            continue
        trained_for = _trained_for(folder / ADAPTERS_FOLDER / name)
        if trained_for not in ("", name):
            problems.append(Problem(f"trained for {trained_for}, but filed under {name}", file=place))
    return problems


def _trained_for(folder: Path) -> str:
    """The base model that ``training.json`` names; empty where it names none."""
    try:
        report = json.loads((folder / TRAINING_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return str(report.get("base_model", "")) if isinstance(report, dict) else ""


def _dialogue_problems(path: Path) -> list[Problem]:
    """Every bad line of a ``dialogue.jsonl``; training itself stops at the first. A persona need not have the file."""
    try:
        if path.stat().st_size > MAX_DIALOGUE_BYTES:
            return [Problem(f"larger than {MAX_DIALOGUE_BYTES >> 20} MiB", file=path.name)]
        lines = path.read_text("utf-8").split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        return [Problem(f"cannot be read: {error.strerror}", file=path.name)]
    except UnicodeDecodeError:
        return [Problem("not UTF-8 text", file=path.name)]
    problems = []
    for number, line in enumerate(lines, 1):
        if line.strip() and (message := _bad_line(line)):
            problems.append(Problem(message, file=path.name, line=number))
    return problems


def _bad_line(line: str) -> str:
    """What is wrong with one line; empty if nothing is."""
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        return f"not valid JSON: {error}"
    if not isinstance(row, dict):
        return "not a JSON object"
    unknown = sorted(set(row) - set(DIALOGUE_KEYS))
    if unknown:
        return f"unknown key {unknown[0]!r}; the keys are {', '.join(DIALOGUE_KEYS)}"
    for key, (least, most) in DIALOGUE_KEYS.items():
        value = row.get(key, "")
        if not isinstance(value, str):
            return f"{key} must be a text, not {type(value).__name__}"
        if not least <= len(value.strip()) <= most:
            return f"{key} has {len(value.strip())} characters; {least} to {most} are allowed"
    return ""
