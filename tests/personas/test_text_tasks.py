"""The shipped tasks that work on a text: what they are taught stands in the text they are given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from townsfolk.personas.dialogue_file import DIALOGUE_FILE, DialogueLine, parse_line, read_lines

SHIPPED = Path(__file__).parents[2] / "personas"
TEXT_TASKS = ["summariser", "style_reviewer", "shop_marketing"]
NUMBER = re.compile(
    r"\d[\d,.:]*\d|\d|\b(?:three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|"
    r"ninety|hundred|thousand|million)\b"
)
QUOTED = re.compile(r'"([^"]+)"')


def lines(task: str) -> list[DialogueLine]:
    return [parse_line(line) for _, line in read_lines(SHIPPED / task / DIALOGUE_FILE)]


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_every_text_is_given_once_and_without_a_scene(task: str) -> None:
    texts = [line.player for line in lines(task)]
    assert len(set(texts)) == len(texts) >= 80
    assert not any(line.situation for line in lines(task))


@pytest.mark.parametrize("line", lines("summariser"), ids=lambda line: line.player[:40])
def test_a_summary_is_far_shorter_and_takes_its_numbers_from_the_text(line: DialogueLine) -> None:
    assert 40 <= words(line.player) <= 120
    assert words(line.reply) <= 0.75 * words(line.player)
    known = set(NUMBER.findall(line.player.lower()))
    assert set(NUMBER.findall(line.reply.lower())) <= known


@pytest.mark.parametrize("line", lines("style_reviewer"), ids=lambda line: line.player[:40])
def test_a_remark_quotes_words_of_the_text(line: DialogueLine) -> None:
    quoted = [phrase.lower() for phrase in QUOTED.findall(line.reply)]
    text = line.player.lower()
    assert quoted[0] in text
    assert sum(phrase in text for phrase in quoted) >= len(quoted) / 2  # the others are what to write instead


@pytest.mark.parametrize("line", lines("shop_marketing"), ids=lambda line: line.player[:40])
def test_the_market_crier_keeps_every_number_of_the_text(line: DialogueLine) -> None:
    assert words(line.reply) <= 60
    assert set(NUMBER.findall(line.player.lower())) <= set(NUMBER.findall(line.reply.lower()))
    assert "friends" in line.reply
