"""The command as a whole: help, errors, speed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

import townsfolk.cli
from tests.cli.conftest import Command
from townsfolk.errors import NotFound

COMMANDS = [
    (),
    ("demo",),
    ("say",),
    ("talk",),
    ("serve",),
    ("status",),
    ("stop",),
    ("train",),
    ("personas",),
    ("personas", "list"),
    ("personas", "show"),
    ("personas", "validate"),
    ("models",),
    ("models", "list"),
    ("models", "pull"),
    ("bench",),
    ("bench", "town"),
    ("bench", "overhead"),
    ("bench", "first-token"),
    ("bench", "scale"),
    ("bench", "gpu"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_shows_an_example(run: Command, command: tuple[str, ...]) -> None:
    outcome = run(*command, "--help")
    assert outcome.code == 0
    assert f"Example: {' '.join(('townsfolk', *command))}" in " ".join(outcome.out.split())


def test_help_imports_neither_torch_nor_grpc() -> None:
    code = """
import sys
from townsfolk.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = {"torch", "grpc", "pydantic", "numpy", "prompt_toolkit"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) or None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_version_is_printed(run: Command) -> None:
    assert run("--version").out == "townsfolk 0.1.0\n"


def test_misspelt_command_exits_with_2(run: Command) -> None:
    assert run("sya").code == 2


def raising(error: BaseException) -> Callable[[object], None]:
    def pull(_: object) -> None:
        raise error

    return pull


def test_interrupt_exits_with_130_and_a_word(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("townsfolk.cli.models.pull", raising(KeyboardInterrupt()))
    outcome = run("models", "pull", "--json")
    assert (outcome.code, outcome.err) == (130, "interrupted\n")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NotFound("there is no such thing"), "there is no such thing"),
        (PermissionError(13, "Permission denied", "/root/secret"), "/root/secret: Permission denied"),
        (ZeroDivisionError("oh"), "that is a bug in townsfolk (ZeroDivisionError: oh); `--debug` shows where"),
    ],
)
def test_every_error_is_one_sentence(
    run: Command, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    monkeypatch.setattr("townsfolk.cli.models.pull", raising(error))
    outcome = run("models", "pull", "--json")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"error: {sentence}\n")


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNSFOLK_DEBUG", "")
    monkeypatch.setattr("townsfolk.cli.models.pull", raising(NotFound("gone")))
    with pytest.raises(NotFound, match="gone"):
        townsfolk.cli.main(["--debug", "models", "pull", "--json"])
