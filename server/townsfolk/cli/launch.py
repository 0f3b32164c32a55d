"""Finding the daemon a command should talk to, and starting one in the background where there is none."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from rich.console import Console

from townsfolk.cli.client import Target, Town, parse_target, target_of
from townsfolk.cli.state import log_file, make_state_dir, read_state, starting_lock, state_file
from townsfolk.cli.terminal import in_seconds
from townsfolk.config import DEFAULT_PORT
from townsfolk.errors import FailedPrecondition, Unavailable
from townsfolk.models import default_model_path

ADDRESS_VARIABLE = "TOWNSFOLK_ADDRESS"
IDLE_S = 600  # a daemon nobody asked for stays as long as someone is likely to come back to it
START_TIMEOUT_S = 320.0  # a little longer than the engine's own limit for loading the model
POLL_S = 0.1
STOP_GRACE_S = 15.0
LOG_TAIL_BYTES = 16 * 1024
COMMAND = (sys.executable, "-m", "townsfolk.cli")  # and not the script, which need not be on the path
left_running: list[subprocess.Popen[bytes]] = []  # Popen complains when a child that runs is forgotten


async def find_daemon(address: str | None) -> Target | None:
    """The daemon at `address`, at `TOWNSFOLK_ADDRESS`, or the announced one if it lives; else ``None``."""
    named = address or os.environ.get(ADDRESS_VARIABLE)
    if named:
        return parse_target(named)
    state = read_state()
    if state is None or not port_open(target_of(state).address):
        return None
    async with Town(target_of(state)) as town:
        return None if await town.health() == "silent" else town.target


async def require_daemon(address: str | None) -> Target:
    """The same, but raises ``Unavailable`` where there is none."""
    target = await find_daemon(address)
    if target is None:
        state = read_state()
        if state is not None and state.tls_certificate and port_open(target_of(state).address):
            raise Unavailable(
                f"the daemon on {state.address} does not answer; {state.tls_certificate} has to name 127.0.0.1 or "
                "localhost for commands on its own machine"
            )
        raise Unavailable("no daemon is running; `townsfolk serve` starts one")
    return target


async def find_or_start(address: str | None, console: Console) -> Target:
    """The daemon to talk to, started in the background if need be, with a spinner on `console` until it is healthy.

    Raises ``NotFound`` when the model has not been pulled, ``FailedPrecondition`` when packages are missing,
    ``Unavailable`` when the daemon does not come up.
    """
    if address or os.environ.get(ADDRESS_VARIABLE):
        return await require_daemon(address)
    with starting_lock():
        target = await _serving_daemon(console)
        if target is not None:
            return target
        try:
            check_engine_packages()
        except FailedPrecondition as missing:
            raise FailedPrecondition(
                f"{missing.message}; or first start a daemon with another engine: `townsfolk serve --config FILE`"
            ) from None
        default_model_path()
        make_state_dir()
        state_file().unlink(missing_ok=True)
        with log_file().open("wb") as log:
            listen = f"127.0.0.1:{DEFAULT_PORT if _port_free(DEFAULT_PORT) else 0}"
            daemon = spawn(["--address", listen, "--exit-when-idle", str(IDLE_S)], log, detached=True)
        left_running.append(daemon)
        return await wait_until_healthy(daemon, log_file(), console)


async def _serving_daemon(console: Console) -> Target | None:
    """The announced daemon once it serves. One that restarts its engine is waited for, and so is one that stops."""
    target = await find_daemon(None)
    if target is None:
        return None
    async with Town(target) as town:
        if await town.health() == "serving":
            return target
        with console.status("Waiting for the engine …", spinner="dots"):
            give_up = time.monotonic() + START_TIMEOUT_S
            while time.monotonic() < give_up:
                match await town.health():
                    case "serving":
                        return target
                    case "silent":
                        break
                await asyncio.sleep(POLL_S)
    return None


def check_engine_packages() -> None:
    """Raise ``FailedPrecondition`` that says what to install when packages of the embedded engine are missing.

    A daemon without settings takes it. Other engines say for themselves what they need, when they start.
    """
    for package in ("torch", "numpy", "gguf", "safetensors"):
        if importlib.util.find_spec(package) is None:
            raise FailedPrecondition(f"the embedded engine needs {package}; run `pip install 'townsfolk[embedded]'`")


def spawn(
    arguments: list[str],
    log: IO[bytes],
    *,
    detached: bool = False,
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `townsfolk serve` as a child that writes into `log`.

    A detached one outlives this process and its terminal; another stops when its stdin is closed.
    """
    command = [*COMMAND, "serve", *arguments]
    flags, own_session = 0, False
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    else:
        own_session = True  # Ctrl-C is for the command in front; a child is told to stop in its own way
    return subprocess.Popen(
        command if detached else [*command, "--stop-on-stdin-close"],
        stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
        stdout=log,
        stderr=log,
        env=os.environ | (environment or {}),
        creationflags=flags,
        start_new_session=own_session,
    )


def stop_child(child: subprocess.Popen[bytes]) -> None:
    """Ask an attached daemon to stop by closing its standard input; insist if it does not."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        child.wait(STOP_GRACE_S)
    except BaseException as error:
        child.kill()
        child.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise


async def wait_until_healthy(
    daemon: subprocess.Popen[bytes], log: Path, console: Console, state: Path | None = None
) -> Target:
    """Wait until a started daemon has announced itself and answers; it is killed if the wait is given up.

    `state` is its state file, where that is not the user's. Raises ``Unavailable`` with the daemon's own last word.
    """
    began = time.monotonic()
    with console.status("Starting the town …", spinner="dots") as status:
        try:
            while time.monotonic() - began < START_TIMEOUT_S:
                if daemon.poll() is not None:
                    raise Unavailable(f"the daemon did not start: {_last_word(log)}")
                announced = read_state(state)
                if announced is not None:
                    async with Town(target_of(announced)) as town:
                        if await town.health() == "serving":
                            return town.target
                status.update(f"Loading the model … [dim]{in_seconds(time.monotonic() - began)}[/dim]")
                await asyncio.sleep(POLL_S)
        except BaseException:
            daemon.kill()
            raise
    daemon.kill()
    raise Unavailable(f"the daemon did not start within {in_seconds(START_TIMEOUT_S)}; its log is {log}")


def _last_word(log: Path) -> str:
    """The error a daemon printed last, without the `error: ` before it."""
    with suppress(OSError):
        lines = log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace").splitlines()
        for line in reversed(lines):
            if line.startswith("error: "):
                return line.removeprefix("error: ")
        if lines:
            return f"{lines[-1].strip()} (log: {log})"
    return f"it left no word in {log}"


def port_open(address: str) -> bool:
    """Whether anything listens there; quicker than asking for its health, and silent."""
    if address.startswith("unix:"):
        return True
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1.0):
            return True
    except (OSError, ValueError):
        return False


def _port_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
