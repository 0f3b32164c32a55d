"""Build hook: generates the gRPC stubs, and puts the personas we ship into the wheel."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _generator(root: Path) -> ModuleType:
    """Load `proto/generate.py`, which lies in no package."""
    spec = importlib.util.spec_from_file_location("townsfolk_generate", root / "proto" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class StubsAndPersonas(BuildHookInterface[Any]):
    """Runs before a wheel is put together, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        _generator(root).generate()
        build_data["artifacts"].append("/server/townsfolk/v1/*")  # ignored by git, wanted in the wheel
        if version != "editable":  # there the daemon finds ./personas itself
            build_data["force_include"][str(root / "personas")] = "townsfolk/shipped_personas"
