"""Build hook: generates the gRPC stubs, compiles the CPU kernel and puts the personas we ship into the wheel."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags


def _load(path: Path) -> ModuleType:
    """Load a build script, which lies in no package."""
    spec = importlib.util.spec_from_file_location(f"townsfolk_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TownsfolkBuild(BuildHookInterface[Any]):
    """Runs before a wheel is put together, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        _load(root / "proto" / "generate.py").generate()
        build_data["artifacts"].append("/server/townsfolk/v1/*")  # ignored by git, wanted in the wheel
        library = self._build_kernel(root)
        if library is not None:
            build_data["artifacts"].append(f"/{library.relative_to(root).as_posix()}")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{next(iter(platform_tags()))}"
        if version != "editable":  # there the daemon finds ./personas itself
            build_data["force_include"][str(root / "personas")] = "townsfolk/shipped_personas"

    def _build_kernel(self, root: Path) -> Path | None:
        """The library, or ``None`` where it cannot be compiled: the engine then computes with PyTorch, only slower."""
        script = _load(root / "server" / "kernel" / "build.py")
        try:
            library: Path = script.build()
        except script.BuildError as error:
            if os.environ.get(script.REQUIRE) == "1":
                raise
            self.app.display_warning(f"{error}; Townsfolk works without it, slower on a CPU")
            return None
        return library
