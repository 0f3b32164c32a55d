"""What TensorRT-LLM's API was when ``api.py`` was written, and how an installed release differs from that."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

REQUIRED = object()  # the default of a parameter that has none
UNKNOWN = object()  # a default that cannot be compared: an object of the library's own, or made by a factory


@dataclass(frozen=True, slots=True)
class Difference:
    """``breaks``: something that was there is gone, or has to be given now; else it is new or has another default."""

    name: str
    what: str
    breaks: bool


def read_contract() -> dict[str, Any]:
    """The recorded API: ``release``, ``read_from``, ``items`` (by class) and ``rules`` (by name)."""
    contract: dict[str, Any] = json.loads(
        files("townsfolk.engine.tensorrt_llm").joinpath("contract.json").read_text("utf-8")
    )
    return contract


def compare_installed(contract: dict[str, Any]) -> list[Difference]:
    """How the installed package differs. Imports it, which takes seconds; raises ``ImportError`` where that fails."""
    importlib.import_module(contract["library"])
    differences: list[Difference] = []
    for name, item in contract["items"].items():
        try:
            found = _find(item["module"], name)
        except (ImportError, AttributeError):
            differences.append(Difference(f"{item['module']}.{name}", "is gone", breaks=True))
            continue
        differences += _compare_item(name, item, found)
    return sorted(differences, key=lambda difference: not difference.breaks)


def _find(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _compare_item(name: str, item: dict[str, Any], found: Any) -> Iterator[Difference]:
    if "base" in item and not any(base.__name__ == item["base"] for base in found.__mro__):
        yield Difference(name, f"is no {item['base']} any more", breaks=True)
    if "parameters" in item and not item.get("native"):  # a class written in C++ does not tell its signature
        yield from _compare_parameters(name, item["parameters"], _parameters(found))
    for member in item.get("members", {}):
        if member not in item.get("set_per_object", ()) and not _has_member(found, member):
            yield Difference(f"{name}.{member}", "is gone", breaks=True)
    for method, shape in item.get("methods", {}).items():
        if not hasattr(found, method):
            yield Difference(f"{name}.{method}()", "is gone", breaks=True)
        else:
            yield from _compare_parameters(f"{name}.{method}", shape["parameters"], _signature(getattr(found, method)))


def _compare_parameters(name: str, recorded: dict[str, str | None], found: dict[str, Any]) -> Iterator[Difference]:
    for parameter, text in recorded.items():
        where = f"{name}({parameter})"
        if parameter not in found:
            yield Difference(where, "is gone", breaks=True)
            continue
        was, default = _recorded_default(text), found[parameter]
        if default is REQUIRED and was is not REQUIRED:
            yield Difference(where, "has to be given now", breaks=True)
        elif (
            UNKNOWN not in (was, default) and was is not REQUIRED and (was != default or type(was) is not type(default))
        ):
            yield Difference(where, f"is {default!r} by default, was {was!r}", breaks=False)
    for parameter in found.keys() - recorded.keys():
        if not parameter.startswith("_"):
            needed = found[parameter] is REQUIRED
            what = "is new, and has to be given" if needed else "is new"
            yield Difference(f"{name}({parameter})", what, breaks=needed)


def _recorded_default(text: str | None) -> Any:
    if text is None:
        return REQUIRED
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return UNKNOWN


def _parameters(found: Any) -> dict[str, Any]:
    """By name, the default of each parameter that a class is built with."""
    if hasattr(found, "model_fields"):  # pydantic
        return {name: _field_default(field) for name, field in found.model_fields.items()}
    if dataclasses.is_dataclass(found):
        return {field.name: _dataclass_default(field) for field in dataclasses.fields(found) if field.init}
    return _signature(found.__init__)


def _field_default(field: Any) -> Any:
    if field.is_required():
        return REQUIRED
    return UNKNOWN if field.default_factory is not None else _comparable(field.default)


def _dataclass_default(field: Any) -> Any:
    if field.default is not dataclasses.MISSING:
        return _comparable(field.default)
    return REQUIRED if field.default_factory is dataclasses.MISSING else UNKNOWN


def _signature(method: Any) -> dict[str, Any]:
    parameters = list(inspect.signature(method).parameters.values())[1:]  # but self
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return {p.name: REQUIRED if p.default is p.empty else _comparable(p.default) for p in named}


def _comparable(default: Any) -> Any:
    return default if isinstance(default, bool | int | float | str | type(None) | list | dict | tuple) else UNKNOWN


def _has_member(found: Any, member: str) -> bool:
    if hasattr(found, member) or member in getattr(found, "model_fields", {}):
        return True
    return dataclasses.is_dataclass(found) and member in {field.name for field in dataclasses.fields(found)}
