"""The daemon of a conversation: the real one in a process of its own, so that it can be killed, with a scripted engine.

Processes are forked from one that has imported everything already, where the system can do that: a fresh daemon is
there in a tenth of a second.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import random
import socket
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.conformance.relay import Relay
from tests.fake_painter import PickyPainter
from tests.fakes import Reply, ScriptedEngine, read_prompt, write_adapter, write_persona
from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon

PATIENCE_S = 20.0
# Below what systems hand out by themselves: nobody takes the port of a daemon that is dead for a while, least of all a
# client that tries to reach it.
PORTS = range(18_000, 32_000)
CROWD = 32
UNSCRIPTED = "(nothing is scripted for this prompt)"

_processes = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
if hasattr(os, "fork"):
    _processes.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class ScriptedReply:
    """What the engine says to a prompt that holds all of ``when``, in any order; the first reply that fits is taken.

    The reply stops before its token (byte) number ``hold_after`` until ``gate`` is opened. ``adapter`` picks prompts
    by whether an adapter is worn, ``scale`` by how strongly.
    """

    when: tuple[str, ...]
    text: str
    finish: str = "stop"
    gate: str = ""
    hold_after: int = 0
    adapter: bool | None = None
    scale: float | None = None


class ConversationEngine(ScriptedEngine):
    """Chooses its replies by the prompt, so that it does not matter who asks first."""

    def __init__(self, replies: Sequence[ScriptedReply]) -> None:
        super().__init__()
        self._replies = replies
        self._gates: dict[str, asyncio.Event] = {}

    def open(self, gate: str) -> None:
        """Let every reply go on that waits at the gate, or will."""
        self._gate(gate).set()

    async def generate(self, prompt: list[int], sampling: Any, stop_ids: Any, *others: Any, **named: Any) -> Any:
        """See ``Engine``."""
        adapter = named.get("adapter", others[1] if len(others) > 1 else None)
        self.script.append(self._reply(read_prompt(prompt), adapter))  # taken before anybody else gets a turn
        return await super().generate(prompt, sampling, stop_ids, *others, **named)

    def _reply(self, prompt: str, adapter: Any) -> Reply:
        for reply in self._replies:
            if not all(words in prompt for words in reply.when):
                continue
            if reply.adapter is not None and reply.adapter != (adapter is not None):
                continue
            if reply.scale is not None and (adapter is None or adapter.scale != reply.scale):
                continue
            hold = self._gate(reply.gate) if reply.gate else None
            return Reply(reply.text, reason=reply.finish, hold=hold, hold_after=reply.hold_after)
        return Reply(UNSCRIPTED)

    def _gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())


def write_town(folder: Path) -> Path:
    """The personas of all conversations: a smith and an elf with adapters, a monk without, a crowd, one broken; and
    those who write stories.
    """
    for persona_id in ("story_writer", "picture_prompter"):
        write_adapter(write_persona(folder, persona_id, kind="task"), weights=persona_id.encode())
    for persona_id in ("smith", "elf"):
        write_adapter(write_persona(folder, persona_id), weights=persona_id.encode())
    write_persona(folder, "monk")
    place = write_persona(folder, "guard")
    with (place / "persona.toml").open("a", encoding="utf-8") as file:
        for when, line in (
            ("timeout", "Wait a moment, citizen."),
            ("error", "My head … ask me later."),
            ("busy", "One at a time!"),
        ):
            file.write(f'\n[[fallback]]\nwhen = "{when}"\nline = "{line}"\n')
    for number in range(1, CROWD + 1):
        write_persona(folder, f"villager_{number}")
    return folder


class ScriptedTown:
    """A daemon process that a conversation can kill and start again at the same address.

    Args:
        personas: folder from ``write_town``.
        replies: what its engine says.
        settings: of its ``[daemon]`` section; ``address`` is ``port`` (the default) or ``unix``.
        relay: whether clients reach it over a wire that can be cut.
    """

    def __init__(
        self, personas: Path, replies: Sequence[ScriptedReply], settings: Mapping[str, Any], *, relay: bool = False
    ) -> None:
        self._personas = personas
        self._replies = replies
        self._scratch = tempfile.TemporaryDirectory()  # shorter than pytest's own, as sockets need
        addresses = {"port": f"127.0.0.1:{free_port()}", "unix": f"unix:{self._scratch.name}/socket"}
        address = addresses[settings.get("address", "port")]
        self._settings = {**settings, "address": address, "drain_grace_s": 0}
        self._relay = Relay(address) if relay else None
        self._process: Any = None
        self._control: Connection | None = None

    @property
    def address(self) -> str:
        """Where clients connect."""
        return self._relay.address if self._relay else str(self._settings["address"])

    def start(self) -> None:
        """Start it, and return once it serves."""
        ours, theirs = _processes.Pipe()
        self._process = _processes.Process(
            target=_serve, args=(theirs, self._personas, self._replies, self._settings), daemon=True
        )
        self._process.start()
        theirs.close()
        self._control = ours
        self._hear("serving")

    def kill(self) -> None:
        """Kill it as a crash would: nothing is said goodbye to."""
        self._process.kill()
        self._process.join(PATIENCE_S)

    def stop(self) -> None:
        """Kill it if it still runs, and let go of it."""
        if self._process is not None and self._process.is_alive():
            self.kill()
        if self._control is not None:
            self._control.close()
        if self._relay is not None:
            self._relay.stop()
        self._scratch.cleanup()

    def cut(self) -> None:
        """Cut the wire. It mends at once: clients may connect again."""
        assert self._relay is not None, "a conversation with a cut needs a relay"
        self._relay.cut()

    def ask(self, *words: str) -> None:
        """Have the engine do something: ``open GATE``, ``die``, ``come_back`` or ``rest`` (wait for all its lines)."""
        assert self._control is not None
        self._control.send(words)
        self._hear("done")

    def _hear(self, word: str) -> None:
        assert self._control is not None
        if not self._control.poll(PATIENCE_S):
            raise AssertionError(f"the daemon did not say {word!r} in {PATIENCE_S:g} s")
        heard = self._control.recv()
        assert heard == word, f"the daemon said {heard!r} instead of {word!r}"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port was found")


# ── the daemon's process ─────────────────────────────────────────────────────────────────────────────────────


def _serve(control: Connection, personas: Path, replies: Sequence[ScriptedReply], own: Mapping[str, Any]) -> None:
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_live(control, personas, replies, own))


async def _live(control: Connection, personas: Path, replies: Sequence[ScriptedReply], own: Mapping[str, Any]) -> None:
    settings = Settings.model_validate({"daemon": dict(own), "personas": {"folders": [personas]}})
    engine = ConversationEngine(replies)
    daemon = Daemon(settings, engine, PickyPainter())
    await daemon.start()
    control.send("serving")
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[tuple[str, ...] | None] = asyncio.Queue()

    def listen() -> None:
        while True:
            try:
                order = control.recv()
            except (EOFError, OSError):
                order = None
            loop.call_soon_threadsafe(orders.put_nowait, order)
            if order is None:
                return

    threading.Thread(target=listen, daemon=True).start()
    while (order := await orders.get()) is not None:
        await _obey(engine, *order)
        control.send("done")
    await daemon.stop()


async def _obey(engine: ConversationEngine, order: str, *names: str) -> None:
    match order:
        case "open":
            engine.open(*names)
        case "die":
            engine.die()
        case "come_back":
            engine.come_back()
        case "rest":
            for line in list(engine.lines):
                await line.ended.wait()
