# Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.
"""Brings the native client's header and libraries into the plugin: ``python Tools/stage.py FOLDER [FOLDER ...]``.

Each folder is one that holds a built library, such as ``build/native``, or a release's folder for one platform. Which
platform a library is for shows in its name.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

PLUGIN = Path(__file__).resolve().parents[1]
DESTINATION = PLUGIN / "Source/ThirdParty/TownsfolkClient"
HEADER = "townsfolk_client.h"
LIBRARIES = {
    "townsfolk_client.dll": "Win64",
    "townsfolk_client.lib": "Win64",
    "libtownsfolk_client.dylib": "Mac",
    "libtownsfolk_client.so": "Linux",
}


def find_header(folders: list[Path]) -> Path:
    """The header that comes with the libraries, or that of the repository around the plugin."""
    beside = [folder / where / HEADER for folder in folders for where in (".", "include", "../include")]
    for candidate in [*beside, PLUGIN.parent / "native_client/include" / HEADER]:
        if candidate.is_file():
            return candidate
    raise SystemExit(f"{HEADER} is neither in {', '.join(map(str, folders))} nor in the repository.")


def stage(folders: list[Path], destination: Path) -> list[Path]:
    """Copies header and libraries below ``destination`` and returns where they lie now."""
    libraries = [
        (found, destination / "Lib" / platform / name)
        for folder in folders
        for name, platform in LIBRARIES.items()
        for found in [next(iter(sorted(folder.rglob(name))), None)]
        if found is not None
    ]
    if not libraries:
        wanted = ", ".join(LIBRARIES)
        raise SystemExit(
            f"No {wanted} below {', '.join(map(str, folders))}: build it with `make native` or unpack a release."
        )
    staged: list[Path] = []
    for source, target in [(find_header(folders), destination / "Include" / HEADER), *libraries]:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)  # follows the links of a versioned .so
        staged.append(target)
    return staged


def main() -> None:
    """Stages what the command line names."""
    parser = argparse.ArgumentParser(description="Stage the native client into the Unreal plugin.")
    parser.add_argument("folders", nargs="+", type=Path, help="folder with a built library, such as build/native")
    parser.add_argument("--into", type=Path, default=DESTINATION, help="folder of the ThirdParty module")
    arguments = parser.parse_args()
    missing = [folder for folder in arguments.folders if not folder.is_dir()]
    if missing:
        raise SystemExit(f"{missing[0]} is no folder.")
    for path in stage(arguments.folders, arguments.into):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
