"""Puts built native libraries where Unity finds them: `stage_library.py build/native/libtownsfolk_client.so …`.

They come to lie in Runtime/Plugins/x86_64/ with the `.meta` files that tell Unity which platform each is for. Neither
is committed; a release packs the package after this has run for every platform.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from meta_files import LIBRARIES, guid, meta_of, meta_text

# File name → the platform as Unity names it for players and for the editor.
PLATFORMS = {
    "libtownsfolk_client.so": ("Linux64", "Linux", "x86_64"),
    "townsfolk_client.dll": ("Win64", "Windows", "x86_64"),
    "libtownsfolk_client.dylib": ("OSXUniversal", "OSX", "AnyCPU"),
}

META = """fileFormatVersion: 2
guid: {guid}
PluginImporter:
  externalObjects: {{}}
  serializedVersion: 2
  iconMap: {{}}
  executionOrder: {{}}
  defineConstraints: []
  isPreloaded: 0
  isOverridable: 0
  isExplicitlyReferenced: 0
  validateReferences: 1
  platformData:
  - first:
      Any:
    second:
      enabled: 0
      settings: {{}}
  - first:
      Editor: Editor
    second:
      enabled: 1
      settings:
        CPU: {cpu}
        DefaultValueInitialized: true
        OS: {editor}
  - first:
      Standalone: {player}
    second:
      enabled: 1
      settings:
        CPU: {cpu}
  userData:
  assetBundleName:
  assetBundleVariant:
"""


def stage(library: Path) -> Path:
    """Copies one library and writes its `.meta` file; returns where it lies."""
    if library.name not in PLATFORMS:
        sys.exit(f"{library} is none of {', '.join(PLATFORMS)}")
    if not library.is_file():
        sys.exit(f"{library} is not there; build it with: make native")
    player, editor, cpu = PLATFORMS[library.name]
    LIBRARIES.mkdir(exist_ok=True)
    meta_of(LIBRARIES).write_text(meta_text(LIBRARIES), "utf-8", newline="\n")
    staged = LIBRARIES / library.name
    shutil.copyfile(library, staged)
    text = META.format(guid=guid(staged), player=player, editor=editor, cpu=cpu)
    meta_of(staged).write_text(text, "utf-8", newline="\n")
    return staged


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for argument in sys.argv[1:]:
        print(stage(Path(argument)))
