"""The shipped tasks: their data keeps the form they are asked in, and their adapters fit it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from townsfolk.engine.adapter_files import CONFIG_FILE, TRAINING_FILE, WEIGHTS_FILE
from townsfolk.models import DEFAULT_MODEL
from townsfolk.personas.dialogue_file import DIALOGUE_FILE, DialogueLine, parse_line, read_lines
from townsfolk.personas.schema import read_persona
from townsfolk.training.dataset import data_digest, read_dialogue
from townsfolk.training.trainer import Settings

SHIPPED = Path(__file__).parents[2] / "personas"
TASKS = sorted(path.parent for path in SHIPPED.glob("*/persona.toml") if read_persona(path.parent).kind == "task")
CONCEPT = re.compile(
    r"Title: (?P<title>.{1,120})\nHero: .{1,120}\nConflict: .{1,120}\nPlace: .{1,120}(\nWish: (?P<wish>.{1,120}))?"
)
MAX_ADAPTER_BYTES = 5_000_000
CLEARLY_BETTER = 0.9  # times the loss of the base model


def lines(task: str) -> list[DialogueLine]:
    return [parse_line(line) for _, line in read_lines(SHIPPED / task / DIALOGUE_FILE)]


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("task", ["story_writer", "picture_prompter"])
def test_examples_are_asked_as_compose_asks(task: str) -> None:
    concepts = [CONCEPT.fullmatch(line.player) for line in lines(task)]
    assert len(concepts) >= 110
    assert all(concepts)
    titles = [concept["title"] for concept in concepts if concept]
    assert len(set(titles)) == len(titles)
    assert sum(bool(concept and concept["wish"]) for concept in concepts) >= len(concepts) // 4
    assert not any(line.situation for line in lines(task))


def test_story_and_picture_are_learnt_from_the_same_concepts() -> None:
    assert [line.player for line in lines("story_writer")] == [line.player for line in lines("picture_prompter")]


def test_stories_are_small_and_begin_in_many_ways() -> None:
    stories = [line.reply for line in lines("story_writer")]
    assert all(60 <= words(story) <= 110 for story in stories)
    openings = [tuple(story.split()[:2]) for story in stories]
    assert len(set(openings)) > 0.9 * len(stories)


def test_picture_prompts_are_one_line_of_phrases_with_commas() -> None:
    for line in lines("picture_prompter"):
        assert 20 <= words(line.reply) <= 40
        assert line.reply.count(",") >= 4
        assert "\n" not in line.reply
        assert not line.reply.endswith(".")


@pytest.mark.parametrize("folder", TASKS, ids=lambda folder: folder.name)
def test_the_adapter_was_made_from_this_data_and_beats_the_base_model(folder: Path) -> None:
    adapter = folder / "adapters" / DEFAULT_MODEL.name
    report = json.loads((adapter / TRAINING_FILE).read_text("utf-8"))
    persona = read_persona(folder)
    assert report["data_digest"] == data_digest(persona.system, read_dialogue(folder / DIALOGUE_FILE))
    assert report["epochs"] == (persona.training.epochs or Settings().epochs)  # what `townsfolk train` would do again
    assert report["held_out_loss"] < CLEARLY_BETTER * report["base_held_out_loss"]
    assert (adapter / WEIGHTS_FILE).stat().st_size < MAX_ADAPTER_BYTES
    assert (adapter / CONFIG_FILE).is_file()
