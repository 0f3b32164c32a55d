"""Which adapter a persona has for the base model in use: its digest, its size, or why it cannot be applied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from townsfolk.engine.adapter_files import CONFIG_FILE, WEIGHTS_FILE, adapter_digest, read_adapter_config
from townsfolk.engine.messages import AdapterRef
from townsfolk.errors import FailedPrecondition, InvalidArgument, TownsfolkError
from townsfolk.personas.validation import ADAPTERS_FOLDER

Stamp = tuple[int, ...]  # changes whenever a file does
MISSING: Stamp = (0, -1)


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """An adapter on disk. ``rank`` is the largest in it. ``error`` says why ``ref`` is missing though one is due."""

    ref: AdapterRef | None = None
    rank: int = 0
    size_bytes: int = 0
    error: TownsfolkError | None = None


class AdapterShelf:
    """The adapters that personas have for one base model, looked up in ``<persona>/adapters/<model name>/``.

    Digests are costly to compute and small to keep, so they are kept until the files change.

    Args:
        model_name: of the base model; empty where none is known, so that nobody has an adapter.
        limit: how many are kept.
    """

    def __init__(self, model_name: str, limit: int) -> None:
        self.model_name = model_name
        self._limit = limit
        self._kept: dict[Path, tuple[Stamp, AdapterFacts]] = {}

    def look(self, persona_folder: Path) -> AdapterFacts:
        """The adapter of the persona in this folder; reads its weights once to name it."""
        place = self._place(persona_folder)
        if place is None:
            return AdapterFacts()
        if not place.is_dir():
            others = adapter_models(persona_folder)
            return AdapterFacts(error=self._for_others(persona_folder.name, others)) if others else AdapterFacts()
        stamp = (*file_stamp(place / CONFIG_FILE), *file_stamp(place / WEIGHTS_FILE))
        kept = self._kept.get(place)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        facts = _read(place)
        if len(self._kept) >= self._limit:
            self._kept.clear()
        self._kept[place] = (stamp, facts)
        return facts

    def forget(self, persona_folder: Path) -> None:
        """Compute this persona's adapter digest again when it is next looked up."""
        place = self._place(persona_folder)
        if place is not None:
            self._kept.pop(place, None)

    def stamp(self, persona_folder: Path) -> Stamp:
        """Changes whenever the persona's adapter does, or comes or goes."""
        place = self._place(persona_folder)
        if place is None:
            return ()
        weights = file_stamp(place / WEIGHTS_FILE)
        others = file_stamp(persona_folder / ADAPTERS_FOLDER) if weights == MISSING else ()
        return (*weights, *file_stamp(place / CONFIG_FILE), *others)

    def _place(self, persona_folder: Path) -> Path | None:
        # the name comes out of a model file: it must be a name and no path
        if self.model_name in ("", ".", "..") or re.search(r"[/\\\0]", self.model_name):
            return None
        return persona_folder / ADAPTERS_FOLDER / self.model_name

    def _for_others(self, persona_id: str, others: list[str]) -> FailedPrecondition:
        return FailedPrecondition(
            f"{persona_id} has adapters for {', '.join(others)}, but none for {self.model_name}; "
            f"run `townsfolk train {persona_id}`",
            field="persona_id",
        )


def adapter_models(persona_folder: Path) -> list[str]:
    """Names of the base models that a persona has adapters for."""
    try:
        places = list((persona_folder / ADAPTERS_FOLDER).iterdir())
    except OSError:
        return []
    return sorted(place.name for place in places if (place / CONFIG_FILE).is_file())


def file_stamp(path: Path) -> Stamp:
    """Modification time (ns) and size of a file; ``MISSING`` without one."""
    try:
        status = path.stat()
    except OSError:
        return MISSING
    return status.st_mtime_ns, status.st_size


def _read(place: Path) -> AdapterFacts:
    try:
        config = read_adapter_config(place)
        ref = AdapterRef(adapter_digest(place), str(place))
        size = (place / WEIGHTS_FILE).stat().st_size
    except TownsfolkError as error:
        return AdapterFacts(error=InvalidArgument(error.message, field="adapter"))
    except OSError as error:
        return AdapterFacts(error=InvalidArgument(f"{place} cannot be read: {error.strerror}", field="adapter"))
    return AdapterFacts(ref, max([config.rank, *config.rank_pattern.values()]), size)
