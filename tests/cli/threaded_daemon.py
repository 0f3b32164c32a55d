"""The real daemon in a thread of its own, for commands that run an event loop themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.fakes import ScriptedEngine
from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon
from townsfolk.engine.interface import Engine

T = TypeVar("T")
START_S = 300  # a real engine loads a model


class DaemonThread:
    """A daemon with these settings over an engine."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine
        self.address = ""
        self._up, self._loop = threading.Event(), asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._live()))

    async def _live(self) -> None:
        self._stop = asyncio.Event()
        daemon = Daemon(self._settings, self._engine)
        await daemon.start()
        self.address = daemon.address
        self._up.set()
        await self._stop.wait()
        await daemon.stop()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(START_S)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run something in the daemon's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)


class ThreadedDaemon(DaemonThread):
    """One with the personas of a folder. ``engine`` speaks for it."""

    def __init__(self, folder: Path, *, max_context: int = 4096) -> None:
        self.folder = folder
        self.engine = ScriptedEngine(max_context=max_context)
        super().__init__(settings_for(folder), self.engine)


def settings_for(folder: Path, **more: Any) -> Settings:
    """Of a daemon on a free port that stops at once."""
    daemon = {"address": "127.0.0.1:0", "drain_grace_s": 0}
    return Settings.model_validate({"daemon": daemon, "personas": {"folders": [folder]}, **more})
