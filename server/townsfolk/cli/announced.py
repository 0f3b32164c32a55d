"""A daemon that other commands and games of the same user find by themselves."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from townsfolk import __version__
from townsfolk.cli.state import DaemonState, Phase, read_state, remove_state, write_state
from townsfolk.cli.terminal import counted, error_console
from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon
from townsfolk.engine.interface import Engine
from townsfolk.pictures.painter import Painter

log = logging.getLogger(__name__)


class AnnouncedDaemon(Daemon):
    """Leaves its address in the state file while it listens, and greets the person in front.

    It is announced before the model is loaded, so that whoever else wants a daemon waits for this one, and until it
    has stopped, so that the next one does not load its model beside it.
    """

    def __init__(self, settings: Settings, engine: Engine, painter: Painter | None = None) -> None:
        super().__init__(settings, engine, painter)
        self._started = time.time()

    async def start(self) -> None:
        await super().start()
        self._announce("serving")
        self._greet()

    def on_listening(self) -> None:
        self._announce("loading")

    async def drain(self) -> None:
        announced = read_state()
        if announced is not None and announced.pid == os.getpid():
            self._announce("stopping")
        await super().drain()

    async def stop(self) -> None:
        try:
            await super().stop()
        finally:
            remove_state(os.getpid())

    def _announce(self, phase: Phase) -> None:
        certificate = self.settings.daemon.tls_certificate
        state = DaemonState(
            address=self.address,
            pid=os.getpid(),
            version=__version__,
            started=self._started,
            token=self._token,
            tls_certificate=str(certificate.resolve()) if certificate else "",
            folder=str(Path.cwd()),
            phase=phase,
        )
        try:
            write_state(state)
        except OSError as error:  # a daemon that nobody finds by itself still serves
            log.warning("the state file cannot be written: %s", error)

    def _greet(self) -> None:
        console, info = error_console(), self.engine.info
        console.print(
            f"[bold]Townsfolk {__version__}[/bold] on [bold]{self.address}[/bold]. [dim]Ctrl-C stops it.[/dim]"
        )
        people = counted(len(self.library.ids()), "persona")
        console.print(f"{people}, {info.model_name} in {info.dtype} on {info.device}", style="dim", markup=False)
