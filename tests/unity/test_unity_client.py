"""The package's own tests, under Mono and against a real daemon with an engine that speaks by script."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unity.compiler import PACKAGE, csharp_tests
from tests.unity.conftest import Outcomes
from tests.unity.scripted_town import RunningTown

RunInTown = Callable[[str, str], tuple[Outcomes, RunningTown]]

ALL = [("Townsfolk.Client.Tests.dll", *test) for test in csharp_tests(PACKAGE / "Tests" / "Runtime")]
ALL += [("Townsfolk.Editor.Tests.dll", *test) for test in csharp_tests(PACKAGE / "Tests" / "Editor")]


@pytest.mark.parametrize(("assembly", "fixture", "test"), ALL, ids=[f"{test[1]}.{test[2]}" for test in ALL])
def test_csharp(run_in_town: RunInTown, assembly: str, fixture: str, test: str) -> None:
    outcomes, _ = run_in_town(assembly, fixture)
    outcome = outcomes.get(f"{fixture}.{test}", "the test did not run to its end")
    assert outcome.startswith("ok "), outcome


def test_cancelled_lines_are_given_up_by_the_engine(run_in_town: RunInTown) -> None:
    _, town = run_in_town("Townsfolk.Client.Tests.dll", "CancellationTests")
    held = town.lines("hold the door")
    assert held
    assert all(line.cancelled for line in held)


def test_no_line_is_left_behind(run_in_town: RunInTown) -> None:
    for fixture in ("LineTests", "CancellationTests", "ClosingTests"):
        _, town = run_in_town("Townsfolk.Client.Tests.dll", fixture)
        assert not town.engine.running
        assert not town.daemon.runner.registry.running


def test_words_of_the_player_reach_the_engine_unharmed(run_in_town: RunInTown) -> None:
    _, town = run_in_town("Townsfolk.Client.Tests.dll", "LineTests")
    assert town.lines("naïve, 鍛冶屋 says 😀 👩‍🚒 é — “ą”")
