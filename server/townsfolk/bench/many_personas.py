"""Memory that personas on disk take while they do not speak."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from townsfolk.bench.machine import resident_mb
from townsfolk.bench.persona_folders import write_persona
from townsfolk.personas.library import PersonaLibrary

SYSTEM = "You are one of a thousand people of this town. Answer in one short spoken sentence. " * 4  # about 80 tokens


def measure_memory(folder: Path, count: int, adapter: Path, model_name: str) -> dict[str, Any]:
    """Resident memory of this process, engine included, before and after a library of ``count`` personas.

    ``surveyed_mb``: after the daemon's look at them at its start; ``read_mb``: after each of them was read once. All
    share the adapter in ``adapter`` by hard links. In MB, ``None`` where the system does not tell.
    """
    for number in range(count):
        write_persona(folder, f"persona-{number:04}", SYSTEM, adapter, model_name)
    gc.collect()
    before = resident_mb()
    library = PersonaLibrary([folder])
    library.use_model(model_name)
    surveyed_personas = library.survey()
    surveyed = resident_mb()
    for persona_id in library.ids():
        library.get(persona_id)
    return {
        "personas": surveyed_personas,
        "before_mb": before,
        "surveyed_mb": surveyed,
        "read_mb": resident_mb(),
    }
