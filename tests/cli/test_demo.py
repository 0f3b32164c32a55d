"""`demo` against a town whose lines are written here, with and without a terminal."""

from __future__ import annotations

import io
import json
import threading

from rich.console import Console

from tests.cli.conftest import Command
from tests.cli.scripted_town import NAMES, ScriptedTown
from townsfolk.cli.demo_scene import PARTS
from townsfolk.cli.demo_view import Line, LiveView, Round, columns_for, finished_round
from townsfolk.v1.common_pb2 import TurnStats


def test_demo_without_a_terminal_prints_plain_lines(run: Command, town: ScriptedTown) -> None:
    outcome = run("demo", "--address", town.address)
    assert outcome.code == 0
    assert "\x1b" not in outcome.out
    for name in NAMES.values():
        assert outcome.out.count(f"[{name}] Well met, good pilgrim.\n") == 2
    assert "7 different ones in one decode step" in outcome.out
    assert "100% of 56 decode steps served two or more adapters" in outcome.out
    assert town.sessions == {}


def test_demo_asks_everybody_twice_in_a_session_of_their_own(run: Command, town: ScriptedTown) -> None:
    run("demo", "--address", town.address, "--seed", "3")
    assert len(town.asked) == 14
    for persona_id, part in PARTS.items():
        first, second = (asked for asked in town.asked if asked.persona_id == persona_id)
        assert (first.text, first.situation, second.text) == (part.first, part.situation, part.second)
        assert first.session_id == second.session_id != ""
        assert first.sampling.seed == 3


def test_demo_asks_them_all_at_the_same_time(run: Command, town: ScriptedTown) -> None:
    town.together = threading.Barrier(7)
    outcome = run("demo", "--address", town.address)
    assert outcome.code == 0, outcome.err


def test_demo_json_has_every_line_and_the_town(run: Command, town: ScriptedTown) -> None:
    outcome = run("demo", "--address", town.address, "--json", "--personas", "old_knight,dwarf_smith")
    report = json.loads(outcome.out)
    assert [(line["round"], line["persona_id"]) for line in report["lines"]] == [
        (1, "old_knight"),
        (1, "dwarf_smith"),
        (2, "old_knight"),
        (2, "dwarf_smith"),
    ]
    assert report["lines"][0]["stats"]["completion_tokens"] == 4
    assert report["model"]["name"] == "smollm2-135m-instruct"
    assert report["town"]["tokens"] == 16
    assert report["town"]["shared_step_share"] == 1.0


def test_demo_with_an_unknown_persona_is_one_sentence(run: Command, town: ScriptedTown) -> None:
    outcome = run("demo", "--address", town.address, "--personas", "old_knight,nobody")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: there is no persona 'nobody'; there are alchemist_apprentice, ")


def test_demo_asks_a_task_only_if_it_is_named(run: Command, town: ScriptedTown) -> None:
    outcome = run("demo", "--address", town.address, "--personas", "old_knight,story_writer")
    assert outcome.code == 0, outcome.err
    assert sorted(asked.persona_id for asked in town.asked) == ["old_knight"] * 2 + ["story_writer"] * 2
    assert run("demo", "--address", town.address).code == 0
    assert {asked.persona_id for asked in town.asked[4:]} == set(NAMES)


def test_demo_plays_on_when_one_line_fails_and_says_so(run: Command, town: ScriptedTown) -> None:
    town.failing = {"forest_elf"}
    outcome = run("demo", "--address", town.address)
    assert outcome.code == 1
    assert "[Sylwen Duskbriar] the queue is full" in outcome.out
    assert "[Dame Aldith] Well met" in outcome.out
    assert outcome.err == "error: 2 lines failed; Sylwen Duskbriar: the queue is full\n"


def lines_of(text: str, ended: bool) -> list[Line]:
    stats = TurnStats(completion_tokens=40, tokens_per_s=12.0)
    return [
        Line(i, name, "blue", "Who goes there?", text=text, tokens=40, stats=stats if ended else None)
        for i, name in NAMES.items()
    ]


def drawn(thing: object, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    view = thing(console) if callable(thing) else thing
    with console.capture() as capture:
        console.print(view)
    return capture.get().splitlines()


def test_panels_fit_any_terminal_and_show_everyone() -> None:
    scene = Round(1, 2, lines_of("a word of many words " * 20, ended=False))
    for width, height in ((200, 50), (120, 40), (80, 24), (60, 24), (40, 12)):
        rows = drawn(lambda console: LiveView(scene, console), width, height)
        assert len(rows) <= height
        assert all(len(row) <= width for row in rows)
        for name in NAMES.values():
            assert any(name in row for row in rows), (name, width, height)


def test_live_panels_keep_their_height_while_text_grows() -> None:
    heights = set()
    for words in (0, 5, 60):
        scene = Round(1, 2, lines_of("word " * words, ended=False))
        heights.add(len(drawn(lambda console: LiveView(scene, console), 120, 40)))  # noqa: B023
    assert len(heights) == 1


def test_finished_round_shows_whole_lines() -> None:
    scene = Round(1, 2, lines_of("it begins " + "and goes on " * 30 + "to the end", ended=True))
    text = "\n".join(drawn(lambda console: finished_round(scene, console), 120, 20))
    assert text.count("it begins") == 7
    assert text.count("40 tokens · 12/s") == 7


def test_columns_are_spread_evenly() -> None:
    assert [columns_for(7, width) for width in (30, 80, 120, 200)] == [1, 2, 3, 4]
    assert columns_for(4, 120) == 2
    assert columns_for(1, 200) == 1
