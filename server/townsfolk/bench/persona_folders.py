"""Persona folders that exist for the length of a measurement."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from townsfolk.engine.adapter_files import CONFIG_FILE, WEIGHTS_FILE
from townsfolk.personas.validation import ADAPTERS_FOLDER, PERSONA_FILE


def write_persona(folder: Path, persona_id: str, system: str, adapter: Path, model_name: str) -> None:
    """Write the persona ``folder/persona_id`` with the adapter in ``adapter`` as its own for the base model.

    The adapter's files are hard-linked where the file system can, so a thousand personas take the room of one adapter.
    """
    place = folder / persona_id / ADAPTERS_FOLDER / model_name
    place.mkdir(parents=True)
    lines = [f"{key} = {json.dumps(value)}" for key, value in _document(persona_id, system).items()]
    (folder / persona_id / PERSONA_FILE).write_text("\n".join(lines) + "\n", "utf-8")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        try:
            os.link(adapter / name, place / name)
        except OSError:
            shutil.copyfile(adapter / name, place / name)


def _document(persona_id: str, system: str) -> dict[str, str]:
    return {"id": persona_id, "name": persona_id, "system": system}
