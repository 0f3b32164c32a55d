"""The suite notices what it is there to notice."""

from __future__ import annotations

import pytest

from tests.conformance.client_process import Reported
from tests.conformance.conversation import FOLDER, all_conversations, read_conversation
from tests.conformance.expectation import broken_promise, difference
from tests.conformance.protocol import decode_line, encode_line

LINE = [
    Reported("started", {"turn": "t"}),
    Reported("speech_delta", {"turn": "t", "text": "Well", "sequence": "1"}),
    Reported("speech_delta", {"turn": "t", "text": " met.", "sequence": "2"}),
    Reported("finished", {"turn": "t", "text": "Well met.", "reason": "stop", "last": "1"}),
]
EXPECTED = [
    {"event": "started"},
    {"event": "speech", "text": "Well met."},
    {"event": "finished", "reason": "stop", "text": "Well met."},
]


def changed(place: int, **fields: str) -> list[Reported]:
    """The line with other fields in one event."""
    events = list(LINE)
    events[place] = Reported(events[place].kind, {**events[place].fields, **fields})
    return events


def test_sound_line_is_accepted() -> None:
    assert difference(EXPECTED, LINE) == ""
    assert broken_promise(LINE) == ""


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        (changed(2, text=" met!"), "text is ['Well met!'] instead of ['Well met.']"),
        (changed(3, reason="length"), "reason is ['length'] instead of ['stop']"),
        (LINE[1:], "speech instead of started"),
        (LINE[:3], "nothing more came"),
        ([*LINE, LINE[3]], "event 4 was not expected"),
        ([LINE[0], *LINE], "started instead of speech"),
    ],
)
def test_difference_is_told(events: list[Reported], complaint: str) -> None:
    assert complaint in difference(EXPECTED, events)


def test_optional_event_may_be_missing_and_no_other() -> None:
    expected = [{**EXPECTED[0], "optional": True}, *EXPECTED[1:]]
    assert difference(expected, LINE) == ""
    assert difference(expected, LINE[1:]) == ""
    assert difference(expected, LINE[:2]) != ""


def test_part_of_a_field_can_be_expected() -> None:
    refusal = [Reported("error", {"text": "there is no persona 'x'", "last": "1"})]
    assert difference([{"event": "error", "text_has": "no persona"}], refusal) == ""
    assert "without 'no session'" in difference([{"event": "error", "text_has": "no session"}], refusal)


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        (LINE[:3], "0 last events"),
        ([*LINE, LINE[3]], "2 last events"),
        ([*LINE, LINE[1]], "an event after the last one"),
        (changed(1, turn="u"), "its turn changes: t, u"),
        (changed(2, sequence="3"), "have gaps: [1, 3]"),
        (changed(1, text=""), "an empty delta"),
        (changed(1, text="\ufffd"), "half a character"),
        (changed(1, text="Ill"), "its deltas are 'Ill met.', and its line is 'Well met.'"),
    ],
)
def test_broken_promise_is_told(events: list[Reported], complaint: str) -> None:
    assert complaint in broken_promise(events)


def test_message_survives_its_way() -> None:
    fields = {"text": "a\tb\\n\n\r\\", "persona": ["smith", "elf"], "empty": ""}
    line = encode_line("say", {**fields, "nothing": None, "yes": True})
    assert "\n" not in line
    assert decode_line(line) == ("say", {**fields, "yes": "1"})


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ('{ do = "shout", as = "x" }', "'shout' is no command"),
        ('{ do = "say", as = "x", persone = "smith" }', "unknown keys {'persone'}"),
        ('{ town = "burn" }', "'burn' is no order"),
        ('{ expect = "x", events = [{ text = "y" }] }', "each of them its event"),
        ('{ expects = "x" }', "it must have one of do, wait, expect, town"),
    ],
)
def test_misspelt_step_is_refused(tmp_path, step: str, complaint: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f'promise = "None."\nsteps = [{step}]', "utf-8")
    with pytest.raises(ValueError, match="step 1") as caught:
        read_conversation(path)
    assert complaint in str(caught.value)


def test_repeated_step_is_numbered(tmp_path) -> None:
    path = tmp_path / "three.toml"
    path.write_text('promise = "Three."\nsteps = [{ repeat = 3, wait = "line {n}", for = "started" }]', "utf-8")
    assert [step["wait"] for step in read_conversation(path).steps] == ["line 1", "line 2", "line 3"]


def test_every_conversation_makes_a_promise() -> None:
    paths = all_conversations()
    assert paths
    assert all(read_conversation(path).promise.endswith(".") for path in paths), FOLDER


def test_page_tells_every_promise() -> None:
    page = (FOLDER.parents[2] / "docs" / "conformance.md").read_text("utf-8")
    for path in all_conversations():
        assert f"| `{path.stem}` | {read_conversation(path).promise} |\n" in page
