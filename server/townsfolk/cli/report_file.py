"""A report in a file: its format, whether it may be written there, and the writing, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from townsfolk.errors import AlreadyExists, InvalidArgument

EVERYBODY = 0o666  # before the umask


class ReportFormat(StrEnum):
    MARKDOWN = "md"
    JSON = "json"
    CSV = "csv"


def format_of(path: Path | None, asked: ReportFormat | None) -> ReportFormat | None:
    """The format to write: the one asked for, else that of the file's ending. Raises ``InvalidArgument``."""
    if asked is not None or path is None:
        return asked
    ending = path.suffix.lower().lstrip(".")
    try:
        return ReportFormat("md" if ending == "markdown" else ending)
    except ValueError:
        raise InvalidArgument(f"{path.name}: end it in .md, .json or .csv, or say --format", field="out") from None


def check_destination(path: Path, *, force: bool) -> None:
    """Raise if a report cannot be written there; before the work, so that nobody waits for nothing."""
    if path.is_dir():
        raise InvalidArgument(f"{path} is a folder; name a file in it", field="out")
    if path.exists() and not force:
        raise AlreadyExists(f"{path} exists; choose another name, or --force to replace it", field="out")
    if not path.parent.is_dir():
        raise InvalidArgument(f"there is no folder {path.parent}", field="out")


def write_whole(path: Path, text: str, *, encoding: str) -> None:
    """Write the file, or leave what was there."""
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
    try:
        with open(handle, "w", encoding=encoding, errors="replace", newline="") as file:
            file.write(text)
        os.chmod(scratch, EVERYBODY & ~_umask())
        os.replace(scratch, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(scratch)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
