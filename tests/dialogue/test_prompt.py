"""From a persona, a history and a line to tokens: what goes in, what is left out, and what stays in place."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.dialogue.tiny_tokenizers import KINDS
from townsfolk.dialogue.prompt import Exchange, PromptBuilder, user_content
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.errors import InvalidArgument

SYSTEM = "You are a guard of the old gate."


@pytest.fixture(scope="module", params=KINDS)
def tokenizer_and_family(request: pytest.FixtureRequest) -> tuple[TextTokenizer, str]:
    build, family = KINDS[request.param]
    return TextTokenizer(build().to_str()), family


def builder(tokenizer_and_family: tuple[TextTokenizer, str], max_context: int = 4096) -> PromptBuilder:
    return PromptBuilder(*tokenizer_and_family, max_context)


def chatml_builder(max_context: int = 4096) -> PromptBuilder:
    build, family = KINDS["chatml"]
    return PromptBuilder(TextTokenizer(build().to_str()), family, max_context)


def exchanges(count: int) -> list[Exchange]:
    return [Exchange("", f"Question {i}?", f"Answer {i}.") for i in range(count)]


def test_the_scene_stands_in_parentheses_before_the_words() -> None:
    assert user_content(" At night. ", " Who goes there? ") == "(At night.) Who goes there?"
    assert user_content("  ", "Who?") == "Who?"
    text = chatml_builder()
    prompt = text.build(SYSTEM, [Exchange("Rain.", "A", "B")], "Fog.", "C", max_tokens=10)
    assert text.tokenizer.decode(prompt) == (
        f"system\n{SYSTEM}\nuser\n(Rain.) A\nassistant\nB\nuser\n(Fog.) C\nassistant\n"
    )


def test_a_persona_without_a_system_prompt_has_no_system_message() -> None:
    text = chatml_builder()
    assert text.tokenizer.decode(text.build("  ", [], "", "Hi", max_tokens=10)) == "user\nHi\nassistant\n"


def test_stop_ids_are_the_templates(tokenizer_and_family: tuple[TextTokenizer, str]) -> None:
    text = builder(tokenizer_and_family)
    assert text.stop_ids
    assert set(text.stop_ids) <= set(text.tokenizer.control_ids.values())


def test_a_turns_prompt_and_spoken_reply_are_the_beginning_of_the_next_turns_prompt(
    tokenizer_and_family: tuple[TextTokenizer, str],
) -> None:
    text = builder(tokenizer_and_family)
    draw = random.Random(4)
    control = set(text.tokenizer.control_ids.values())
    words = [i for i in range(text.tokenizer.vocab_size) if i not in control]
    history: list[Exchange] = []
    for turn in range(6):
        player = f"Question {turn}?"
        prompt = text.build(SYSTEM, history, "", player, max_tokens=50)
        reply = tuple(draw.choice(words) for _ in range(7))
        history.append(Exchange("", player, text.tokenizer.decode(list(reply)), reply))
        later = text.build(SYSTEM, history, "", "And then?", max_tokens=50)
        spoken = [*prompt, *reply, text.stop_ids[0]]
        assert later[: len(spoken)] == spoken


def test_a_reply_of_a_save_file_is_encoded_anew() -> None:
    text = chatml_builder()
    ids = tuple(text.tokenizer.encode("Answer."))
    known = text.build(SYSTEM, [Exchange("", "A", "Answer.", ids)], "", "B", max_tokens=10)
    assert text.build(SYSTEM, [Exchange("", "A", "Answer.")], "", "B", max_tokens=10) == known


def test_all_of_the_history_stays_while_it_fits() -> None:
    whole = chatml_builder().build(SYSTEM, exchanges(20), "", "Now?", max_tokens=30)
    assert chatml_builder(len(whole) + 30).build(SYSTEM, exchanges(20), "", "Now?", max_tokens=30) == whole
    assert chatml_builder(len(whole) + 29).build(SYSTEM, exchanges(20), "", "Now?", max_tokens=30) != whole


def kept_of(text: PromptBuilder, prompt: list[int], count: int) -> list[int]:
    """Which exchanges a prompt still holds."""
    words = text.tokenizer.decode(prompt)
    return [i for i in range(count) if f"Question {i}?" in words]


def test_the_oldest_exchanges_are_dropped_first_and_no_more_than_a_quarter_too_many() -> None:
    text = chatml_builder(600)
    history = exchanges(60)
    prompt = text.build(SYSTEM, history, "", "Now?", max_tokens=50)
    kept = kept_of(text, prompt, 60)
    assert len(prompt) <= 550
    assert kept == list(range(kept[0], 60)), "the newest, without holes"
    assert prompt == text.encode_conversation(SYSTEM, history[kept[0] :], "", "Now?")
    history_room = 550 - len(text.encode_conversation(SYSTEM, [], "", ""))
    longest = max(text._length(exchange) for exchange in history)
    assert 550 - len(prompt) <= history_room // 4 + longest


def test_the_beginning_of_a_full_prompt_stays_the_same_over_many_turns() -> None:
    text = chatml_builder(600)
    first_kept = []
    for count in range(30, 90):
        prompt = text.build(SYSTEM, exchanges(count), "", "Now, please?" * (count % 3), max_tokens=50)
        first_kept.append(kept_of(text, prompt, count)[0])
    changes = sum(a != b for a, b in itertools.pairwise(first_kept))
    assert first_kept == sorted(first_kept), "what was dropped does not come back"
    assert first_kept[-1] - first_kept[0] > 40
    assert changes <= 20, "most turns find the beginning of their prompt in the cache"


def test_a_persona_that_fills_the_context_still_remembers_what_fits() -> None:
    system = "You are a guard of the old gate. " * 60
    bare = len(chatml_builder().encode_conversation(system, [], "", "Now?"))
    text = chatml_builder(bare + 100 + 50)
    prompt = text.build(system, exchanges(30), "", "Now?", max_tokens=50)
    assert kept_of(text, prompt, 30)


def test_one_exchange_larger_than_the_context_is_dropped_and_later_ones_stay() -> None:
    text = chatml_builder(400)
    history = [Exchange("", "Question 0?", "word " * 500), *exchanges(4)[1:]]
    assert kept_of(text, text.build(SYSTEM, history, "", "Now?", max_tokens=50), 4) == [1, 2, 3]
    history = [*exchanges(4)[:3], Exchange("", "Question 3?", "word " * 500)]
    assert kept_of(text, text.build(SYSTEM, history, "", "Now?", max_tokens=50), 4) == []


def test_a_line_that_does_not_fit_even_alone_is_refused_with_the_numbers() -> None:
    text = chatml_builder(100)
    alone = len(text.encode_conversation(SYSTEM, [], "", "word " * 40))
    for history in ([], exchanges(3)):
        with pytest.raises(InvalidArgument) as refused:
            text.build(SYSTEM, history, "", "word " * 40, max_tokens=30)
        assert refused.value.field == "text"
        assert refused.value.message == (
            f"the line is too long: {alone} tokens with the persona's prompt, but only 70 fit beside a reply of 30"
        )


def test_a_line_that_fits_exactly_is_taken() -> None:
    line = "word " * 20
    size = len(chatml_builder().encode_conversation(SYSTEM, [], "", line))
    assert len(chatml_builder(size + 30).build(SYSTEM, exchanges(3), "", line, max_tokens=30)) == size
    with pytest.raises(InvalidArgument):
        chatml_builder(size + 29).build(SYSTEM, [], "", line, max_tokens=30)


def test_every_history_of_every_kind_fits_after_dropping(tokenizer_and_family: tuple[TextTokenizer, str]) -> None:
    draw = random.Random(9)
    for _ in range(25):
        text = builder(tokenizer_and_family, draw.randint(150, 500))
        history = [
            Exchange("Rain." * draw.randint(0, 2), "word " * draw.randint(1, 30), "yes " * draw.randint(1, 30))
            for _ in range(draw.randint(0, 15))
        ]
        prompt = text.build(SYSTEM, history, "", "Now?", max_tokens=40)
        assert len(prompt) + 40 <= text.max_context
