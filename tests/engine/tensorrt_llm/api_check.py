"""Checks a module's use of TensorRT-LLM against the recorded contract, by its syntax tree alone.

Follows types from imports, annotations and calls. What it cannot follow is a finding, too: in the module that touches
the API there must be nothing that nobody checks.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

LIBRARY = "tensorrt_llm"
OWN = "townsfolk"  # objects of our own, whose attributes mypy checks


@dataclass
class Checker:
    """Collects ``findings``: one sentence for each use that the contract does not know."""

    contract: dict[str, Any]
    findings: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def check(self, source: str) -> list[str]:
        """The findings in ``source``, the text of a module."""
        tree = ast.parse(source)
        names: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node, names)
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                names[node.name] = OWN
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._function(node, dict(names))
        return self.findings

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────

    def _import(self, node: ast.Import | ast.ImportFrom, names: dict[str, str]) -> None:
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            full = f"{module}.{alias.name}" if module else alias.name
            if full.split(".")[0] != LIBRARY:
                names[alias.asname or alias.name] = OWN
                continue
            item = self.contract["items"].get(alias.name)
            if item is None or item["module"] != module:
                self.findings.append(f"{full} is not in the contract")
                continue
            self.used.add(alias.name)
            names[alias.asname or alias.name] = f"class {alias.name}"

    def _function(self, function: ast.FunctionDef | ast.AsyncFunctionDef, names: dict[str, str]) -> None:
        arguments = function.args
        for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]:
            names[argument.arg] = self._annotated(argument.annotation, names)
        for node in ast.walk(function):  # annotated names first: a loop may come before in the walk
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names[node.target.id] = self._annotated(node.annotation, names)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                names.setdefault(node.targets[0].id, self._type(node.value, names))
            if isinstance(node, ast.ExceptHandler) and node.name:
                names[node.name] = self._annotated(node.type, names)
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute):
                self._attribute(node, names)
            elif isinstance(node, ast.Call):
                self._call(node, names)

    def _annotated(self, annotation: ast.expr | None, names: dict[str, str]) -> str:
        """The type that an annotation names; the first one of ``X | None``."""
        while isinstance(annotation, ast.BinOp):
            annotation = annotation.left
        if isinstance(annotation, ast.Name):
            return names.get(annotation.id, OWN).removeprefix("class ")
        return OWN

    # ── types ────────────────────────────────────────────────────────────────────────────────────────────────

    def _type(self, node: ast.expr, names: dict[str, str]) -> str:
        """``class X`` for the class, ``X`` for an object of it, ``method X.m``, ``list[X]``, ``townsfolk`` or ``?``."""
        match node:
            case ast.Name(id=name):
                return names.get(name, OWN)
            case ast.Constant() | ast.List() | ast.JoinedStr() | ast.ListComp() | ast.IfExp() | ast.BoolOp():
                return OWN
            case ast.Call(func=function):
                called = self._type(function, names)
                if called.startswith("method "):
                    owner, _, method = called.removeprefix("method ").rpartition(".")
                    return str(self.contract["items"][owner]["methods"][method].get("returns", OWN))
                return called.removeprefix("class ")
            case ast.Attribute(value=value, attr=name):
                return self._member(self._type(value, names), name)
            case ast.Subscript(value=value):
                listed = self._type(value, names)
                return listed.removeprefix("list[").removesuffix("]") if listed.startswith("list[") else OWN
        return "?"

    def _member(self, owner: str, name: str) -> str:
        """The type of ``owner.name``; ``?`` where the contract has none."""
        owner = owner.removeprefix("class ")
        item = self.contract["items"].get(owner)
        if item is None:
            return OWN if owner in (OWN, "list", "str", "int", "bool") else "?"
        if name in item.get("methods", {}):
            return f"method {owner}.{name}"
        if name not in item.get("members", {}):
            return "?"
        member = str(item["members"][name])
        return f"class {member}" if member in self.contract["items"] else member

    # ── uses ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _attribute(self, node: ast.Attribute, names: dict[str, str]) -> None:
        owner = self._type(node.value, names)
        if self._member(owner, node.attr) == "?":
            self.findings.append(f"line {node.lineno}: {ast.unparse(node)}: {owner} has no {node.attr}")
        elif owner != OWN:
            self.used.add(f"{owner.removeprefix('class ')}.{node.attr}")

    def _call(self, node: ast.Call, names: dict[str, str]) -> None:
        called = self._type(node.func, names)
        if called.startswith("class "):
            name = called.removeprefix("class ")
            item = self.contract["items"][name]
            parameters = dict(item.get("parameters", {}))
            keywords = set(parameters)
            if "keywords_of" in item:
                keywords |= set(self.contract["items"][item["keywords_of"]]["parameters"])
            self._arguments(node, name, parameters, keywords, positional=not item.get("keyword_only"))
        elif called.startswith("method "):
            owner, _, method = called.removeprefix("method ").rpartition(".")
            parameters = self.contract["items"][owner]["methods"][method]["parameters"]
            self._arguments(node, f"{owner}.{method}", parameters, set(parameters), positional=True)

    def _arguments(
        self, node: ast.Call, name: str, parameters: dict[str, Any], keywords: set[str], *, positional: bool
    ) -> None:
        where = f"line {node.lineno}: {name}()"
        given = {keyword.arg for keyword in node.keywords}
        if None in given or any(isinstance(argument, ast.Starred) for argument in node.args):
            self.findings.append(f"{where} is called with unpacked arguments, which cannot be checked")
        if node.args and not positional:
            self.findings.append(f"{where} takes keywords only")
        if len(node.args) > len(parameters):
            self.findings.append(f"{where} takes {len(parameters)} arguments, not {len(node.args)}")
        by_position = set(list(parameters)[: len(node.args)])
        for keyword in sorted(str(k) for k in given - {None}):
            if keyword not in keywords:
                self.findings.append(f"{where} has no parameter {keyword}")
            if keyword in by_position:
                self.findings.append(f"{where} is given {keyword} twice")
            self.used.add(f"{name}({keyword})")
        for parameter, default in parameters.items():
            if default is None and parameter not in by_position | given:
                self.findings.append(f"{where} lacks {parameter}")
