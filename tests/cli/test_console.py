"""`townsfolk console` and a daemon whose engine speaks by script: one line, a pipe, somebody at the keyboard."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from tests.cli.conftest import REPOSITORY, Command
from townsfolk.cli import launch
from townsfolk.cli.client import Town, target_of
from townsfolk.cli.console import DeveloperConsole
from townsfolk.cli.console_view import ConsoleView
from townsfolk.cli.launch import spawn, stop_child, wait_until_healthy
from townsfolk.cli.state import log_file, make_state_dir, read_state
from townsfolk.cli.terminal import error_console
from townsfolk.v1 import console_pb2 as pb

IDLE_S = 1
SCRIPTED = (sys.executable, str(REPOSITORY / "tests" / "cli" / "scripted_serve.py"))


@pytest.fixture
def daemon(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that says "Well met, good pilgrim.", found by every command."""
    with scripted_daemon(own_folders, monkeypatch) as child:
        yield child


@contextmanager
def scripted_daemon(folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    monkeypatch.setattr(launch, "COMMAND", SCRIPTED)
    model = folder / "model.gguf"
    model.touch()
    make_state_dir()
    with log_file().open("wb") as log:
        child = spawn(["--address", "127.0.0.1:0", "--model", str(model), *options], log)
    asyncio.run(wait_until_healthy(child, log_file(), error_console()))
    try:
        yield child
    finally:
        stop_child(child)


# ── one line, and lines from a pipe ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("daemon")
def test_a_line_prints_plain_text_to_a_pipe(run: Command) -> None:
    outcome = run("console", "-c", 'npc.say old_knight "Good evening."')
    assert (outcome.code, outcome.err) == (0, "")
    speech, detail = outcome.out.splitlines()
    assert speech == "Well met, good pilgrim."
    assert detail.startswith("turn ")


@pytest.mark.usefixtures("daemon")
def test_lines_run_in_order_up_to_the_first_that_fails(run: Command) -> None:
    lines = ["npc.set daemon.max_sessions 5", "npc.set daemon.max_sessions", "npc.sya", "npc.set daemon.max_sessions 6"]
    outcome = run("console", *(word for line in lines for word in ("-c", line)))
    assert outcome.code == 2
    assert outcome.out.count("daemon.max_sessions = 5") == 2
    assert "= 6" not in outcome.out
    assert outcome.err == "npc.sya\n^^^^^^^\nthere is no command 'npc.sya'; did you mean npc.say?\n"


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    ("line", "code"),
    [("npc.stats", 0), ("npc.say old_knight 'hello", 2), ("npc.say nobody hello", 1), ("npc.trace 1234", 1)],
)
def test_the_exit_code_tells_how_the_line_ended(run: Command, line: str, code: int) -> None:
    assert run("console", "-c", line).code == code


@pytest.mark.usefixtures("daemon")
def test_lines_come_from_a_pipe(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.stdin", io.StringIO("npc.say old_knight hello\n\n  \nnpc.stats turns\nnpc.nonsense\nnpc.stats\n")
    )
    outcome = run("console")
    assert outcome.code == 2
    assert outcome.out.startswith("Well met, good pilgrim.\n")
    assert "old_knight  stop" in outcome.out
    assert "uptime" not in outcome.out


@pytest.mark.usefixtures("daemon")
def test_the_session_of_the_command_line_is_spoken_in(run: Command) -> None:
    async def open_session() -> str:
        async with Town(target_of(read_state())) as town:
            return await town.open_session(["old_knight"])

    session_id = asyncio.run(open_session())
    outcome = run("console", "--session", session_id, "-c", "npc.say old_knight First.", "-c", "npc.trace last")
    assert outcome.code == 0, outcome.err
    assert f"session   {session_id}" in outcome.out
    assert run("console", "--session", "gone", "-c", "npc.say old_knight First.").code == 1


@pytest.mark.usefixtures("daemon")
def test_bytes_that_are_no_text_do_no_harm(run: Command) -> None:
    outcome = run("console", "-c", "npc.say old_knight \udcff\udc80")
    assert (outcome.code, outcome.out.splitlines()[0]) == (0, "Well met, good pilgrim.")


def test_a_daemon_that_is_not_there_is_one_sentence(run: Command) -> None:
    outcome = run("console", "--address", "127.0.0.1:1", "-c", "npc.stats")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "error: no daemon answers at 127.0.0.1:1; `townsfolk serve` starts one\n"


# ── somebody at the keyboard ─────────────────────────────────────────────────────────────────────────────────────


class Keyboard:
    """Types into a console that runs; `see` are the keys that follow once the output holds those words."""

    def __init__(self, keys: PipeInput, output: io.StringIO) -> None:
        self._keys = keys
        self._output = output
        self._typist: threading.Thread | None = None
        self.failed = False

    def type(self, *steps: tuple[str, str | Callable[[], object]]) -> None:
        """Each step waits for words on the screen, then types keys, or does something else."""

        def work() -> None:
            for words, keys in steps:
                for _ in range(1000):
                    if words in self._output.getvalue():
                        break
                    threading.Event().wait(0.01)
                else:
                    self.failed = True
                    self._keys.close()
                    return
                if callable(keys):
                    keys()
                else:
                    self._keys.send_text(keys)

        self._typist = threading.Thread(target=work)
        self._typist.start()

    def join(self) -> None:
        assert self._typist is not None
        self._typist.join(20)
        assert not self.failed, f"what was waited for never came: {self._output.getvalue()}"


@contextmanager
def keyboard(runner: asyncio.Runner) -> Iterator[tuple[DeveloperConsole, Keyboard, io.StringIO]]:
    """A console with a keyboard of the test's own, connected to the daemon that is announced."""
    output = io.StringIO()
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        console = DeveloperConsole(runner)
        console._output = Console(file=output, width=100, highlight=False)
        console._errors = Console(file=output, width=100, highlight=False, soft_wrap=True)
        console.connect(None)
        yield console, Keyboard(keys, output), output
        console.leave()


@pytest.mark.usefixtures("daemon")
def test_lines_are_read_until_ctrl_d_and_kept_in_a_private_history() -> None:
    with asyncio.Runner() as runner, keyboard(runner) as (console, hands, output):
        hands.type(
            ("Tab completes", "npc.say old_knight hello\r"),
            ("turn ", "npc.sya\r"),
            ("did you mean npc.say?", "\r"),
            ("did you mean npc.say?", "\x04"),
        )
        console.hold()
        hands.join()
    assert "Well met, good pilgrim.\n" in output.getvalue()
    history = make_state_dir() / "console_history"
    assert "npc.say old_knight hello" in history.read_text("utf-8")
    if os.name != "nt":
        assert stat.S_IMODE(history.stat().st_mode) == 0o600


@pytest.mark.usefixtures("daemon")
def test_tab_completes_by_asking_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    asked = []
    with asyncio.Runner() as runner, keyboard(runner) as (console, hands, output):
        complete = console._complete

        async def counted(line: str, cursor: int) -> Any:
            answer = await complete(line, cursor)
            asked.append(line)
            output.write(f"[{len(asked)} asked]")
            return answer

        monkeypatch.setattr(console, "_complete", counted)
        monkeypatch.setattr(console, "execute", lambda line: lines.append(line) or (output.write("[ran]") and 0))
        hands.type(
            ("Tab completes", "\t"),  # the beginning that all commands share
            ("[1 asked]", "sta\t"),
            ("[2 asked]", " p\t"),
            ("[3 asked]", "\r"),
            ("[ran]", "exit\r"),
        )
        console.hold()
        hands.join()
    assert asked == ["", "npc.sta", "npc.stats p"]
    assert lines == ["npc.stats personas"]


def endless_console(spoke: threading.Event, stopped: threading.Event) -> Any:
    """In the place of `Town.execute`: a command that never ends by itself."""

    async def execute(self: Town, line: str, **fields: Any) -> AsyncIterator[pb.ExecuteResponse]:
        try:
            while True:
                yield pb.ExecuteResponse(text="and so on ", style=pb.CONSOLE_STYLE_SPEECH)
                spoke.set()
                await asyncio.sleep(0.01)
        finally:
            stopped.set()

    return execute


@pytest.mark.usefixtures("daemon")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")
def test_ctrl_c_stops_the_command_and_not_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    spoke, stopped = threading.Event(), threading.Event()
    with asyncio.Runner() as runner, keyboard(runner) as (console, hands, output):
        real = Town.execute
        monkeypatch.setattr(Town, "execute", endless_console(spoke, stopped))

        def interrupt() -> None:
            monkeypatch.setattr(Town, "execute", real)
            os.kill(os.getpid(), signal.SIGINT)

        hands.type(
            ("Tab completes", "npc.say old_knight hello\r"),
            ("and so on", interrupt),
            ("(stopped)", "npc.nons\x03"),  # at the prompt it gives up the line only
            ("(stopped)", "npc.set\r"),
            ("daemon.max_sessions", "\x04"),
        )
        console.hold()
        hands.join()
    assert stopped.is_set()
    assert "npc.nons" not in output.getvalue()


def test_a_lost_daemon_is_one_sentence_and_the_console_stays(daemon: subprocess.Popen[bytes]) -> None:
    with asyncio.Runner() as runner, keyboard(runner) as (console, hands, output):
        hands.type(
            ("Tab completes", lambda: stop_child(daemon)),
            ("", "npc.stats\r"),
            ("no daemon answers", "npc.st\t\x15exit\r"),
        )
        console.hold()
        hands.join()
    assert "Traceback" not in output.getvalue()


def test_a_console_at_its_prompt_holds_a_daemon_that_leaves_when_idle(
    own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived: list[bool] = []
    with scripted_daemon(own_folders, monkeypatch, "--exit-when-idle", str(IDLE_S)) as daemon:

        def think() -> None:
            threading.Event().wait(4 * IDLE_S)
            lived.append(daemon.poll() is None)

        with asyncio.Runner() as runner, keyboard(runner) as (console, hands, _):
            hands.type(
                ("Tab completes", think),
                ("", "npc.say old_knight hello\r"),
                ("Well met, good pilgrim.", think),
                ("", "\x04"),
            )
            console.hold()
            hands.join()
        assert lived == [True, True]
        assert daemon.wait(20) == 0, "without the console it leaves"


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────


def shown(pieces: list[tuple[str, int]], *, terminal: bool) -> str:
    output = io.StringIO()
    console = Console(
        file=output, width=30, force_terminal=terminal, color_system="standard" if terminal else None, highlight=False
    )
    view = ConsoleView(console, console)
    for text, style in pieces:
        view.show(pb.ExecuteResponse(text=text, style=style))
    view.finish()
    return output.getvalue()


PIECES = [
    ("A heading [bold]\n", pb.CONSOLE_STYLE_HEADING),
    *(
        (word, pb.CONSOLE_STYLE_SPEECH)
        for word in ("Well", " met,", " good", " pilgrim", " of", " Salt", "mere", ".", "\n")
    ),
    ("  turn 1\n", pb.CONSOLE_STYLE_DETAIL),
    ("hm\n", pb.CONSOLE_STYLE_WARNING),
    ("new in a later version\n", 99),
    ("no\nline", pb.CONSOLE_STYLE_ERROR),
]


def test_a_pipe_gets_the_text_as_it_was_sent() -> None:
    assert shown(PIECES, terminal=False) == "".join(text for text, _ in PIECES) + "\n"


def test_a_terminal_gets_colours_and_speech_broken_between_words() -> None:
    text = shown(PIECES, terminal=True)
    assert "\x1b[1mA heading [bold]\x1b[0m\n" in text
    assert "Well met, good pilgrim of \nSaltmere.\n" in text
    assert "\x1b[2m  turn 1\x1b[0m\n" in text
    assert "\x1b[33mhm\x1b[0m\n" in text
    assert "\nnew in a later version\n" in text
    assert "\x1b[31mno\x1b[0m\n\x1b[31mline\x1b[0m\n" in text
