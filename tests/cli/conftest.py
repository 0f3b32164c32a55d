"""Fixtures of the command line: folders of the test's own, the command in this process, a scripted town."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.scripted_town import ScriptedTown, scripted_town
from townsfolk.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """How a command ended. Texts as a pipe sees them."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own state and cache."""
    for name in ("TOWNSFOLK_ADDRESS", "TOWNSFOLK_TOKEN", "TOWNSFOLK_ROOT_CERTIFICATE", "TOWNSFOLK_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOWNSFOLK_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TOWNSFOLK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(REPOSITORY)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    """`run("say", "old_knight", "hello")`: the command in this process, up to its exit code."""

    def run_(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main(list(arguments))
        captured = capsys.readouterr()
        code = exit_.value.code
        return Outcome(code if isinstance(code, int) else 1 if code else 0, captured.out, captured.err)

    return run_


@pytest.fixture
def town() -> Iterator[ScriptedTown]:
    with scripted_town() as town:
        yield town
