"""Where a daemon leaves its address for clients of the same user: `daemon.json` in the user's state folder."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_state_dir

OWNER_ONLY = 0o700


Phase = Literal["loading", "serving", "stopping"]


@dataclass(frozen=True)
class DaemonState:
    """A running daemon. `started` is in Unix seconds; `token` and `tls_certificate` are empty without one.

    It can be connected to in every `phase`, and speaks in `serving` only.
    """

    address: str
    pid: int
    version: str
    started: float
    token: str = ""
    tls_certificate: str = ""
    folder: str = ""  # where it was started, and looks for ./personas
    phase: Phase = "serving"


def state_dir() -> Path:
    """The folder of the state file, the log and the history; `TOWNSFOLK_STATE_DIR` overrides it."""
    override = os.environ.get("TOWNSFOLK_STATE_DIR")
    return Path(override or user_state_dir("townsfolk", appauthor=False)).expanduser()


def make_state_dir() -> Path:
    """The state folder, made for its owner alone if it was missing."""
    folder = state_dir()
    folder.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY)
    return folder


def state_file() -> Path:
    return state_dir() / "daemon.json"


def log_file() -> Path:
    """What a daemon started in the background prints."""
    return state_dir() / "daemon.log"


def write_state(state: DaemonState) -> None:
    """Announce a daemon, readable by its owner only; a reader sees the old file or the new one, never half of one."""
    folder = make_state_dir()
    handle, scratch = tempfile.mkstemp(prefix=".daemon-", dir=folder)  # mode 0600
    try:
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(state), file)
        os.replace(scratch, state_file())
    except BaseException:
        with suppress(OSError):
            os.unlink(scratch)
        raise


def read_state(path: Path | None = None) -> DaemonState | None:
    """The announced daemon, which may have died since; ``None`` without one, or when the file makes no sense."""
    try:
        content = json.loads((path or state_file()).read_text("utf-8"))
        state = DaemonState(**content)
    except (OSError, ValueError, TypeError):
        return None
    sound = isinstance(state.address, str) and isinstance(state.pid, int) and isinstance(state.token, str)
    return state if sound and state.address and state.pid > 0 else None


def remove_state(pid: int) -> None:
    """Take the announcement of that daemon back; leaves that of another one alone."""
    state = read_state()
    if state is not None and state.pid == pid:
        with suppress(OSError):
            state_file().unlink()


@contextmanager
def starting_lock() -> Iterator[None]:
    """Held while a daemon is looked for and started, so that two commands at once start one daemon and not two.

    The system lets go of it when its holder dies.
    """
    with (make_state_dir() / "starting.lock").open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                file.seek(0)
                with suppress(OSError):  # LK_LOCK gives up after ten seconds
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
