"""Writes the `.meta` file of every asset of this package that has none; `--check` only names what is wrong.

Unity makes up a GUID for an asset without a `.meta` file, a different one in every project, and cannot make any in a
package it may not write to. So they are committed. A new one's GUID is the MD5 of the asset's path in the package;
once written it stays, whatever becomes of the path.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
NAME = "com.townsfolk.client"
LIBRARIES = PACKAGE / "Runtime" / "Plugins" / "x86_64"  # never committed: stage_library.py writes what is there

TAIL = "  externalObjects: {}\n  userData:\n  assetBundleName:\n  assetBundleVariant:\n"
SCRIPT = """MonoImporter:
  externalObjects: {}
  serializedVersion: 2
  defaultReferences: []
  executionOrder: 0
  icon: {instanceID: 0}
  userData:
  assetBundleName:
  assetBundleVariant:
"""


def assets() -> Iterator[Path]:
    """Every file and folder that Unity imports: not what begins with a dot or ends with a tilde."""
    for path in sorted(PACKAGE.rglob("*")):
        parts = path.relative_to(PACKAGE).parts
        hidden = any(part.startswith(".") or part.endswith("~") for part in parts)
        if not hidden and path.suffix != ".meta" and path != LIBRARIES and LIBRARIES not in path.parents:
            yield path


def meta_of(asset: Path) -> Path:
    return asset.with_name(f"{asset.name}.meta")


def guid(asset: Path) -> str:
    """32 lower-case hex digits, the same on every machine."""
    return hashlib.md5(f"{NAME}/{asset.relative_to(PACKAGE).as_posix()}".encode(), usedforsecurity=False).hexdigest()


def importer(asset: Path) -> str:
    if asset.is_dir():
        return "folderAsset: yes\nDefaultImporter:\n" + TAIL
    if asset.suffix == ".cs":
        return SCRIPT
    if asset.suffix == ".asmdef":
        return "AssemblyDefinitionImporter:\n" + TAIL
    if asset.name == "package.json":
        return "PackageManifestImporter:\n" + TAIL
    if asset.suffix in (".md", ".txt", ".xml", ".json"):
        return "TextScriptImporter:\n" + TAIL
    return "DefaultImporter:\n" + TAIL


def meta_text(asset: Path) -> str:
    return f"fileFormatVersion: 2\nguid: {guid(asset)}\n{importer(asset)}"


def problems() -> Iterator[str]:
    """What is wrong with the `.meta` files, a sentence each."""
    wanted = {meta_of(asset) for asset in assets()}
    owners: dict[str, Path] = {}
    for meta in sorted(wanted):
        if not meta.exists():
            yield f"{meta.relative_to(PACKAGE)} is missing; run Tools~/meta_files.py"
            continue
        found = re.search(r"^guid: ([0-9a-f]{32})$", meta.read_text("utf-8"), flags=re.MULTILINE)
        if not found:
            yield f"{meta.relative_to(PACKAGE)} has no guid"
        elif found[1] in owners:
            yield f"{meta.relative_to(PACKAGE)} has the guid of {owners[found[1]].relative_to(PACKAGE)}"
        else:
            owners[found[1]] = meta
    for meta in sorted(PACKAGE.rglob("*.meta")):
        if meta not in wanted and LIBRARIES not in meta.parents and meta != meta_of(LIBRARIES):
            yield f"{meta.relative_to(PACKAGE)} belongs to nothing"


def main() -> None:
    if "--check" in sys.argv[1:]:
        found = list(problems())
        print("\n".join(found) or "every asset has its .meta file")
        sys.exit(bool(found))
    for asset in assets():
        if not meta_of(asset).exists():
            meta_of(asset).write_text(meta_text(asset), "utf-8", newline="\n")
            print(meta_of(asset).relative_to(PACKAGE))


if __name__ == "__main__":
    main()
