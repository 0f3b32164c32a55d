"""The contract's parameters as Python objects."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

CONTRACT = json.loads(files("townsfolk.engine.tensorrt_llm").joinpath("contract.json").read_text("utf-8"))
FACTORIES: dict[str, Callable[[], Any]] = {"list": list, "dict": dict}


def fields_of(name: str) -> dict[str, tuple[bool, Any, Callable[[], Any] | None]]:
    """By parameter: whether it is required, else its default, or what makes it."""
    return {field: _default(text) for field, text in CONTRACT["items"][name]["parameters"].items()}


def _default(text: str | None) -> tuple[bool, Any, Callable[[], Any] | None]:
    if text is None:
        return True, None, None
    if text.startswith("default_factory="):
        return False, None, FACTORIES.get(text.removeprefix("default_factory="), lambda: None)
    try:
        return False, ast.literal_eval(text), None
    except (ValueError, SyntaxError):  # an enum of the real library's own
        return False, text, None
