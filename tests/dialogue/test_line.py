"""The text of one line: code points whole, stop strings hidden, nothing taken back."""

from __future__ import annotations

import pytest

from tests.fakes import tiny_tokenizer
from townsfolk.dialogue.events import SpeechDelta
from townsfolk.dialogue.line import SpokenLine
from townsfolk.engine.messages import TokenLikelihood


def speak(text: str, *stops: str) -> tuple[SpokenLine, list[str]]:
    """Push a text byte by byte; returns the line and its deltas."""
    line = SpokenLine(tiny_tokenizer(), stops)
    deltas = []
    for token_id in tiny_tokenizer().encode(text):
        if delta := line.push(token_id):
            deltas.append(delta.text)
        if line.finished_by_stop:
            return line, deltas
    if rest := line.finish():
        deltas.append(rest.text)
    return line, deltas


@pytest.mark.parametrize("text", ["Aye.", "Grüß dich, 旅人! 🍺", "a b  c\nd", "…"])
def test_deltas_put_together_are_the_text(text: str) -> None:
    line, deltas = speak(text)
    assert "".join(deltas) == line.text == text
    assert all(deltas)


def test_a_character_of_several_tokens_is_never_split() -> None:
    _, deltas = speak("🍺")
    assert deltas == ["🍺"]


def test_white_space_around_the_line_is_dropped() -> None:
    line, deltas = speak("\n  Aye, sir. \n")
    assert line.text == "Aye, sir."
    assert deltas[0] == "A"


def test_a_stop_string_ends_the_line_and_is_not_part_of_it() -> None:
    line, deltas = speak("Aye.\nPlayer: no", "\nPlayer:")
    assert "".join(deltas) == line.text == "Aye."
    assert line.finished_by_stop


def test_a_possible_stop_string_is_held_back_until_it_is_not() -> None:
    line = SpokenLine(tiny_tokenizer(), ["END"])
    given = [line.push(i) for i in tiny_tokenizer().encode("xENx")]
    assert [d.text if d else None for d in given] == ["x", None, None, "ENx"]
    assert given[3] is not None
    assert given[3].token_count == 3


def test_what_was_held_back_is_said_when_the_line_ends() -> None:
    line, deltas = speak("The EN", "END")
    assert line.text == "The EN"
    assert deltas[-1].endswith("EN")


def test_overlapping_beginnings_of_a_stop_string_are_seen() -> None:
    line, _ = speak("aaab!", "aab")
    assert line.text == "a"


def test_the_earliest_stop_string_counts() -> None:
    line, _ = speak("one two three", "three", "two")
    assert line.text == "one"


def test_a_line_break_as_stop_string_does_not_silence_a_line_that_begins_with_one() -> None:
    line, _ = speak("\n\nAye.\nNay.", "\n")
    assert line.text == "Aye."


def test_reply_ids_are_the_tokens_as_sampled() -> None:
    line, _ = speak(" Aye.")
    assert line.reply_ids == tuple(tiny_tokenizer().encode(" Aye."))


def test_reply_ids_of_a_cut_line_are_not_kept() -> None:
    line, _ = speak("Aye. END", "END")
    assert line.reply_ids == ()


def test_reply_ids_of_an_unfinished_line_are_not_kept() -> None:
    line = SpokenLine(tiny_tokenizer())
    line.push(tiny_tokenizer().encode("A")[0])
    assert line.text == "A"
    assert line.reply_ids == ()


def test_a_control_token_in_the_reply_is_neither_shown_nor_kept() -> None:
    line = SpokenLine(tiny_tokenizer())
    for token_id in [*tiny_tokenizer().encode("Aye"), tiny_tokenizer().control_id("<|im_start|>")]:
        line.push(token_id)
    line.finish()
    assert line.text == "Aye"
    assert line.reply_ids == ()


def test_a_character_that_never_became_whole_is_left_out() -> None:
    line = SpokenLine(tiny_tokenizer())
    for token_id in tiny_tokenizer().encode("ok 🍺")[:-1]:
        line.push(token_id)
    line.finish()
    assert line.text == "ok"
    assert line.reply_ids == ()


def test_token_counts_add_up() -> None:
    line = SpokenLine(tiny_tokenizer(), ["END"])
    deltas = [line.push(i) for i in tiny_tokenizer().encode("Aye EN 🍺")]
    deltas.append(line.finish())
    assert sum(d.token_count for d in deltas if d) == len(tiny_tokenizer().encode("Aye EN 🍺"))


def likelihood(token_id: int) -> TokenLikelihood:
    return TokenLikelihood(token_id, -1.0, [token_id], [-1.0])


@pytest.mark.parametrize("text", ["Aye.", "  Aye 🍺 \n", "Aye EN 🍺", "Aye. END of it", "END", "   "])
def test_every_likelihood_is_behind_one_delta_or_unspoken_and_in_order(text: str) -> None:
    line = SpokenLine(tiny_tokenizer(), ["END"])
    pushed: list[int] = []
    deltas: list[SpeechDelta | None] = []
    for token_id in tiny_tokenizer().encode(text):
        if not line.finished_by_stop:
            pushed.append(token_id)
            deltas.append(line.push(token_id, 0, likelihood(token_id)))
    stopped = line.finished_by_stop
    deltas.append(line.finish(likelihood(258)))
    given = [delta for delta in deltas if delta]
    assert all(len(delta.likelihoods) == delta.token_count for delta in given)
    heard = [found.token_id for delta in given for found in delta.likelihoods]
    assert heard + [found.token_id for found in line.unspoken] == pushed + ([] if stopped else [258])
    assert (258 in [found.token_id for found in line.unspoken]) is not stopped


def test_the_tokens_of_a_character_are_all_behind_the_delta_that_shows_it() -> None:
    line = SpokenLine(tiny_tokenizer())
    beer = tiny_tokenizer().encode("🍺")
    deltas = [line.push(token_id, 0, likelihood(token_id)) for token_id in beer]
    assert deltas[:-1] == [None] * (len(beer) - 1)
    assert deltas[-1] is not None
    assert [found.token_id for found in deltas[-1].likelihoods] == beer
    assert line.unspoken == ()
