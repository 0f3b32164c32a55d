"""One picture process: its pipes, its messages, its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence

from townsfolk.child_process import CREATE_NO_WINDOW
from townsfolk.config import PictureSettings
from townsfolk.errors import TownsfolkError, Unavailable
from townsfolk.frames import MalformedMessage
from townsfolk.pictures.messages import CODEC, Message

log = logging.getLogger(__name__)

WORKER = (sys.executable, "-m", "townsfolk.pictures.worker")
BELOW_NORMAL_PRIORITY_CLASS = 0x4000  # Windows; elsewhere the process makes itself nice


class PictureProcess:
    """A child that paints. Made by ``spawn``; used for one order at a time."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        self._answers: asyncio.Queue[Message | None] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def spawn(cls, settings: PictureSettings, command: Sequence[str] = WORKER) -> PictureProcess:
        """Start ``command`` with the settings as its last argument."""
        child = await asyncio.create_subprocess_exec(
            *command,
            settings.model_dump_json(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            creationflags=CREATE_NO_WINDOW | BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 0,
        )
        return cls(child)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it runs and still speaks to us."""
        return self._child.returncode is None and not self._reader.done()

    async def send(self, message: Message) -> None:
        """Write a message; one that died meanwhile is noticed by ``receive``."""
        assert self._child.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._child.stdin.write(CODEC.encode(message))
            await self._child.stdin.drain()

    async def receive(self) -> Message | None:
        """Its next message; ``None`` when it has ended. May be cancelled without losing one."""
        return await self._answers.get()

    async def kill(self) -> None:
        """End it, whatever it does. Safe to call twice."""
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
        await self._child.wait()
        await self._reader
        if self._child.stdin is not None:
            self._child.stdin.close()

    async def unexpected_end(self) -> TownsfolkError:
        """What to tell whoever waited for a process that has ended by itself."""
        await self.kill()
        code = self._child.returncode
        log.error("the picture process ended (exit code %s)", code)
        killed = code is not None and code < 0
        why = "was killed, perhaps because memory ran out" if killed else "stopped unexpectedly; the log says more"
        return Unavailable(f"the picture process {why}; order the picture again, or a smaller one", retry_after_s=1.0)

    async def _read(self) -> None:
        """A task of its own: a message that is waited for in vain must not be read by half."""
        assert self._child.stdout is not None
        try:
            while (message := await CODEC.receive(self._child.stdout)) is not None:
                self._answers.put_nowait(message)
        except MalformedMessage as error:
            log.error("the picture process sent what is no message: %s", error)
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
        self._answers.put_nowait(None)
