"""A daemon that other commands of the same user find by themselves."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from townsfolk import __version__
from townsfolk.cli.state import DaemonState, remove_state, write_state
from townsfolk.cli.terminal import counted, error_console
from townsfolk.daemon.auth import read_token
from townsfolk.daemon.server import Daemon

log = logging.getLogger(__name__)


class AnnouncedDaemon(Daemon):
    """Leaves its address in the state file while it serves, and greets the person in front."""

    async def start(self) -> None:
        await super().start()
        self._announce()
        self._greet()

    async def stop(self) -> None:
        remove_state(os.getpid())
        await super().stop()

    def _announce(self) -> None:
        certificate = self.settings.daemon.tls_certificate
        state = DaemonState(
            address=self.address,
            pid=os.getpid(),
            version=__version__,
            started=time.time(),
            token=read_token(self.settings.daemon),
            tls_certificate=str(certificate.resolve()) if certificate else "",
            folder=str(Path.cwd()),
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
