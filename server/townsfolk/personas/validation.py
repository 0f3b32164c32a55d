"""Everything wrong with a persona's folder, found without a model: what ``personas validate`` and the API report."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from townsfolk.engine.adapter_files import TRAINING_FILE, read_adapter_config
from townsfolk.errors import InvalidArgument, NotFound, TownsfolkError
from townsfolk.personas.dialogue_file import DIALOGUE_FILE, parse_line, read_lines
from townsfolk.personas.schema import Persona, read_persona

PERSONA_FILE = "persona.toml"
ADAPTERS_FOLDER = "adapters"
MAX_PROBLEMS = 100
LONG_SYSTEM_CHARACTERS = 3000  # about 750 tokens: a third of a 2048-token context, in every prompt


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
    if len({fallback.line for fallback in persona.fallback}) == 1:
        message = "a fallback line is never spoken twice in a row, so a second one is needed"
        problems.append(Problem(message, field="fallback", warning=True))
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
        lines = read_lines(path)
    except NotFound:
        return []
    except InvalidArgument as error:
        return [Problem(error.message, file=path.name)]
    problems = []
    for number, line in lines:
        try:
            parse_line(line)
        except InvalidArgument as error:
            problems.append(Problem(error.message, file=path.name, line=number))
    return problems
