"""What a child process of the daemon does before anything else, and how it is started without a console window."""

from __future__ import annotations

import os
import signal
import sys
from typing import BinaryIO

CREATE_NO_WINDOW = 0x0800_0000  # Windows: no console window, and no Ctrl-C from the daemon's


def take_standard_output() -> BinaryIO:
    """Keep standard output for messages alone: file descriptor 1 becomes standard error for everybody else."""
    private = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(private.fileno(), os.O_BINARY)
        msvcrt.setmode(sys.stdin.fileno(), os.O_BINARY)
    return private


def leave_signals_to_the_daemon() -> None:
    """Ctrl-C reaches the whole process group, but the daemon first lets work in flight finish."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
