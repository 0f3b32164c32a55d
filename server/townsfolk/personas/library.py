"""The personas on disk. Nothing is read before it is asked for, and what was read is read again when it changes.

A persona that was readable once stays usable in that form while its file is broken: a writer saves half-written files
while the game runs.
"""

from __future__ import annotations

import difflib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import townsfolk
from townsfolk.engine.messages import AdapterRef
from townsfolk.errors import InvalidArgument, NotFound, ResourceExhausted, TownsfolkError
from townsfolk.personas.adapters import AdapterShelf, Stamp, file_stamp
from townsfolk.personas.schema import Persona, read_persona
from townsfolk.personas.validation import PERSONA_FILE, validate_persona

__all__ = ["LoadedPersona", "PersonaLibrary", "ReloadReport", "default_persona_folders", "validate_persona"]

ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
CACHED_PERSONAS = 512  # about 20 KB each
SUGGESTED_IDS = 5


def check_id(persona_id: str, field: str = "persona_id") -> None:
    """Raise ``InvalidArgument`` for what is no id: they come from clients, and name folders."""
    if not ID_PATTERN.fullmatch(persona_id):
        raise InvalidArgument(
            f"{persona_id[:64]!r} is no persona id: those are 1 to 64 characters of a-z 0-9 _ -", field=field
        )


@dataclass(frozen=True, slots=True)
class LoadedPersona:
    """A persona as it was read. ``adapter`` is the one for the model in use, ``None`` without one.

    ``adapter_rank`` is the largest LoRA rank in it, ``adapter_bytes`` the size of its weights. ``problems`` are for
    people to read; the persona can be used in spite of them.
    """

    persona: Persona
    folder: Path
    adapter: AdapterRef | None = None
    adapter_rank: int = 0
    adapter_bytes: int = 0
    adapter_model: str = ""
    adapter_error: TownsfolkError | None = None
    problems: tuple[str, ...] = ()

    def usable_adapter(self) -> AdapterRef | None:
        """The adapter to speak with; ``None`` if the persona has none for the model in use, so its prompt must do.

        Raises ``InvalidArgument`` for one that is damaged: speaking without it would hide that.
        """
        if isinstance(self.adapter_error, InvalidArgument):
            raise self.adapter_error
        return self.adapter

    def required_adapter(self) -> AdapterRef | None:
        """The adapter to load; ``None`` only for a persona without any.

        Raises ``FailedPrecondition`` if it has adapters for other models only, ``InvalidArgument`` if it is damaged.
        """
        if self.adapter_error is not None:
            raise self.adapter_error
        return self.adapter


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What reading the library again found: ids of personas."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class PersonaLibrary:
    """Personas by id. Safe to use from several threads; every method may touch the disk.

    Args:
        folders: searched in order; where two hold the same id, the first one's counts. One that does not exist raises
            ``InvalidArgument``.
        max_personas: how many there may be.
    """

    def __init__(self, folders: Sequence[Path], max_personas: int = 10_000) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise InvalidArgument(f"personas.folders: {folder} is not a folder", field="personas.folders")
        self.folders = tuple(folder.resolve() for folder in folders)
        self._max_personas = max_personas
        self._lock = threading.RLock()
        self._cache: OrderedDict[str, tuple[Stamp, LoadedPersona]] = OrderedDict()
        self._adapters = AdapterShelf("", max_personas)
        self._known: dict[str, Stamp] = {}

    @property
    def model_name(self) -> str:
        """The base model whose adapters count; empty before one is known."""
        return self._adapters.model_name

    def use_model(self, model_name: str) -> None:
        """Look for adapters of this base model from now on."""
        with self._lock:
            if model_name != self.model_name:
                self._adapters = AdapterShelf(model_name, self._max_personas)
                self._cache.clear()
                self._known.clear()

    def ids(self) -> list[str]:
        """Ids of all personas, sorted, those with problems included. Too many raise ``ResourceExhausted``."""
        found: set[str] = set()
        for folder in self.folders:
            try:
                names = os.listdir(folder)
            except OSError:
                continue  # it was there at the start; its personas are gone with it
            found.update(n for n in names if ID_PATTERN.fullmatch(n) and (folder / n / PERSONA_FILE).is_file())
            if len(found) > self._max_personas:
                raise ResourceExhausted(
                    f"there are more than {self._max_personas} personas; raise personas.max_personas"
                )
        return sorted(found)

    def get(self, persona_id: str) -> LoadedPersona:
        """A persona as it is on disk now.

        Raises ``InvalidArgument`` for what is no id, and for a persona that cannot be read and never could;
        ``NotFound`` for an unknown one.
        """
        folder = self.folder_of(persona_id)
        with self._lock:
            stamp = self._stamp(folder)
            cached = self._cache.get(persona_id)
            if cached is not None and cached[0] == stamp and cached[1].folder == folder:
                self._cache.move_to_end(persona_id)
                return cached[1]
            try:
                loaded = self._read(folder)
            except InvalidArgument as error:
                if cached is None:
                    raise
                loaded = replace(cached[1], problems=(f"not read again: {error.message}",))
            return self._keep(persona_id, stamp, loaded)

    def look(self, persona_id: str) -> tuple[LoadedPersona | None, tuple[str, ...]]:
        """For lists: the persona, or ``None`` if it cannot be read, and its problems. Raises ``NotFound``."""
        try:
            loaded = self.get(persona_id)
        except InvalidArgument as error:
            return None, (error.message,)
        return loaded, loaded.problems

    def folder_of(self, persona_id: str) -> Path:
        """The folder of a persona. Raises ``InvalidArgument`` or ``NotFound`` with ids that come close."""
        check_id(persona_id)
        for folder in self.folders:
            if (folder / persona_id / PERSONA_FILE).is_file():
                return folder / persona_id
        with self._lock:
            self._cache.pop(persona_id, None)
        raise NotFound(f"there is no persona {persona_id!r}; {self._suggestion(persona_id)}", field="persona_id")

    def reload(self, persona_id: str) -> ReloadReport:
        """Read a persona and its adapter again, whatever its files' times say.

        Raises ``NotFound``, or ``InvalidArgument`` for one with errors, which then stays as it was.
        """
        folder = self.folder_of(persona_id)
        with self._lock:
            before = self._cache.get(persona_id)
            known = before is not None or persona_id in self._known
            self._adapters.forget(folder)
            stamp = self._stamp(folder)
            loaded = self._read(folder)
            same = before[1] == loaded if before is not None else self._known.get(persona_id) == stamp
            self._keep(persona_id, stamp, loaded)
            self._known[persona_id] = stamp
        if not known:
            return ReloadReport(added=(persona_id,))
        return ReloadReport() if same else ReloadReport(changed=(persona_id,))

    def reload_all(self) -> ReloadReport:
        """Read again what changed since the last time (or since ``survey``)."""
        with self._lock:
            before = dict(self._known)
            now = self.stamps()
            added: list[str] = []
            changed: list[str] = []
            failed: list[str] = []
            for persona_id, stamp in now.items():
                if before.get(persona_id) == stamp:
                    continue
                try:
                    self.reload(persona_id)
                except InvalidArgument:
                    failed.append(persona_id)
                    continue
                (changed if persona_id in before else added).append(persona_id)
            removed = sorted(set(before) - set(now))
            for persona_id in removed:
                self._cache.pop(persona_id, None)
                self._known.pop(persona_id, None)
        return ReloadReport(tuple(added), tuple(changed), tuple(removed), tuple(failed))

    def survey(self) -> int:
        """Note which personas there are, for ``reload_all`` to compare with; returns their number."""
        with self._lock:
            self._known = self.stamps()
            return len(self._known)

    def stamps(self) -> dict[str, Stamp]:
        """Of every persona what changes whenever one of its files does. Reads none of them."""
        found: dict[str, Stamp] = {}
        with self._lock:
            for persona_id in self.ids():
                with suppress(NotFound):  # gone since
                    found[persona_id] = self._stamp(self.folder_of(persona_id))
        return found

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, folder: Path) -> LoadedPersona:
        persona = read_persona(folder)
        adapter = self._adapters.look(folder)
        problems = (adapter.error.message,) if adapter.error else ()
        return LoadedPersona(
            persona=persona,
            folder=folder,
            adapter=adapter.ref,
            adapter_rank=adapter.rank,
            adapter_bytes=adapter.size_bytes,
            adapter_model=self.model_name if adapter.ref else "",
            adapter_error=adapter.error,
            problems=problems,
        )

    def _stamp(self, folder: Path) -> Stamp:
        """Changes whenever one of the persona's files does."""
        return (*file_stamp(folder / PERSONA_FILE), *self._adapters.stamp(folder))

    def _keep(self, persona_id: str, stamp: Stamp, loaded: LoadedPersona) -> LoadedPersona:
        self._cache[persona_id] = (stamp, loaded)
        self._cache.move_to_end(persona_id)
        while len(self._cache) > CACHED_PERSONAS:
            self._cache.popitem(last=False)
        return loaded

    def _suggestion(self, persona_id: str) -> str:
        try:
            known = self.ids()
        except ResourceExhausted as error:
            return error.message
        if not known:
            places = ", ".join(map(str, self.folders)) or "no folder at all"
            return f"the library is empty ({places})"
        close = difflib.get_close_matches(persona_id, known, n=1)
        some = ", ".join(known[:SUGGESTED_IDS]) + (", …" if len(known) > SUGGESTED_IDS else "")
        return f"did you mean {close[0]!r}? Known are {some}" if close else f"known are {some}"


def default_persona_folders() -> list[Path]:
    """Where personas are looked for unless told otherwise: ``./personas``, the source tree's, those of the wheel."""
    package = Path(townsfolk.__file__).resolve().parent
    source_tree = package.parent.parent
    candidates = [Path.cwd() / "personas"]
    if (source_tree / "pyproject.toml").is_file() and (source_tree / "proto").is_dir():
        candidates.append(source_tree / "personas")
    candidates.append(package / "shipped_personas")
    return list(dict.fromkeys(folder.resolve() for folder in candidates if folder.is_dir()))
