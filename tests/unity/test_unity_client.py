"""The package's own tests, under Mono and against a real daemon with an engine that speaks by script."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unity.compiler import PACKAGE, csharp_tests
from tests.unity.conftest import Outcomes
from tests.unity.scripted_town import RunningTown

RunInTown = Callable[[str, str], tuple[Outcomes, RunningTown]]

FOLDERS = {"Townsfolk.Client.Tests.dll": "Runtime", "Townsfolk.Editor.Tests.dll": "Editor"}
ALL = [
    (assembly, fixture, test)
    for assembly, folder in FOLDERS.items()
    for fixture, test in csharp_tests(PACKAGE / "Tests" / folder)
]
IN_TOWN = {
    fixture
    for path in (PACKAGE / "Tests").rglob("*.cs")
    for fixture in re.findall(r"class (\w+) : Town\b", path.read_text("utf-8"))
}


def named(*, in_town: bool) -> pytest.MarkDecorator:
    chosen = [test for test in ALL if (test[1] in IN_TOWN) == in_town]
    assert chosen
    return pytest.mark.parametrize(("assembly", "fixture", "test"), chosen, ids=[f"{t[1]}.{t[2]}" for t in chosen])


def check(outcomes: Outcomes, name: str) -> None:
    outcome = outcomes.get(name, "the test did not run to its end")
    assert outcome.startswith("ok "), outcome


@named(in_town=False)
def test_csharp(run_fixture: Callable[..., Outcomes], tmp_path: Path, assembly: str, fixture: str, test: str) -> None:
    check(run_fixture(assembly, fixture, tmp_path), f"{fixture}.{test}")


@named(in_town=True)
def test_csharp_in_town(run_in_town: RunInTown, assembly: str, fixture: str, test: str) -> None:
    outcomes, _ = run_in_town(assembly, fixture)
    check(outcomes, f"{fixture}.{test}")


def test_cancelled_lines_are_given_up_by_the_engine(run_in_town: RunInTown) -> None:
    _, town = run_in_town("Townsfolk.Client.Tests.dll", "CancellationTests")
    held = town.lines("hold the door")
    assert held
    assert all(line.cancelled for line in held)


def test_no_line_is_left_behind(run_in_town: RunInTown) -> None:
    for fixture in ("LineTests", "CancellationTests", "ClosingTests", "StoryTests"):
        _, town = run_in_town("Townsfolk.Client.Tests.dll", fixture)
        assert not town.engine.running
        assert not town.daemon.runner.registry.running


def test_words_of_the_player_reach_the_engine_unharmed(run_in_town: RunInTown) -> None:
    _, town = run_in_town("Townsfolk.Client.Tests.dll", "LineTests")
    assert town.lines("naïve, 鍛冶屋 says 😀 👩‍🚒 é — “ą”")
