"""SIGTERM and Ctrl-C ask the daemon to stop, on every system."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# SIGBREAK is what Windows sends on Ctrl-Break and, through consoles, on closing the window
STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


@contextmanager
def stop_signals(on_signal: Callable[[], None]) -> Iterator[None]:
    """Call ``on_signal`` in the event loop for each stop signal, and restore what was there before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers; whoever runs us in another one stops us by hand
        return
    loop = asyncio.get_running_loop()
    before: dict[Any, Any] = {}
    for number in STOP_SIGNALS:
        # not loop.add_signal_handler: Windows has none, and it does not give back what it replaced
        before[number] = signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
