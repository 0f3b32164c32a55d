"""What a console prints: clean text, and nothing wider than the console."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from townsfolk.daemon.console.output import Output, cleaned, point_at
from townsfolk.daemon.console.table import Column, fitted, wrapped
from townsfolk.v1.console_pb2 import ExecuteResponse

COLUMNS = (Column("id"), Column("number", right=True), Column("words", elastic=True), Column("more", elastic=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x9b2J\x07\x00\x7f\x08", "2J"),
        ("one\r\ntwo\tthree", "one\ntwo three"),
        ("a\u202eb\u2066c\u2028d", "abc d"),
        ("👩\u200d🚒 Grüße, 日本語 \u200f.", "👩\u200d🚒 Grüße, 日本語 \u200f."),
        ("\ud800", "\ufffd"),
    ],
)
def test_text_holds_no_control_codes(text: str, expected: str) -> None:
    assert cleaned(text) == expected


def test_every_control_character_but_the_line_break_is_taken_out() -> None:
    controls = "".join(map(chr, [*range(32), *range(0x7F, 0xA0)]))
    assert cleaned(controls) == " \n"


@pytest.mark.parametrize("width", [20, 21, 33, 47, 60, 80, 200])
def test_tables_fit_their_width(width: int) -> None:
    rows = [("smith", "7", "日本語" * 10, "word " * 20), ("e", "12345", "", "x"), ("🍺" * 9, "", "short", "y")]
    lines = fitted(COLUMNS, rows, width)
    assert len(lines) == 4
    assert max(map(cell_len, lines)) <= width
    if width == 200:
        assert "…" not in "".join(lines)
        assert lines[1].startswith("smith")


def test_numbers_stand_to_the_right_and_columns_in_line() -> None:
    lines = fitted(COLUMNS[:3], [("smith", "7", "a"), ("elf", "123", "b")], 80)
    assert lines == ["id     number  words", "smith       7  a", "elf       123  b"]


def test_wide_columns_give_way_before_narrow_ones() -> None:
    lines = fitted(COLUMNS[2:], [("a" * 10, "b" * 70)], 40)
    assert lines[1].startswith("a" * 10 + "  " + "b" * 27 + "…")


@pytest.mark.parametrize("width", [1, 2, 7, 20])
def test_wrapped_text_fits_and_loses_nothing_but_spaces(width: int) -> None:
    text = "Steel first, talk later; a-word-longer-than-any-line\n\nand a pint"
    lines = wrapped(text, width)
    assert max(map(len, lines)) <= width
    assert "".join(lines).replace(" ", "") == text.replace(" ", "").replace("\n", "")


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_a_pointer_stands_under_what_it_points_at(columns: int) -> None:
    line = "npc.say smith " + "é" * 300 + " --bad " + "x" * 300
    start = line.index("--bad")
    shown, carets = point_at(line, (start, start + 5), columns)
    assert cell_len(shown) <= columns
    at = carets.index("^")
    assert shown[at : at + 5] == "--bad"
    assert carets == " " * at + "^^^^^"


def test_a_pointer_counts_places_and_not_characters() -> None:
    shown, carets = point_at("say 日本\t\x1b語 bad", (10, 13), 80)
    assert shown == "say 日本 語 bad"
    assert carets == " " * 12 + "^^^"


def test_a_pointer_behind_the_line_is_one_caret() -> None:
    assert point_at("npc.load", (8, 8), 80) == ("npc.load", "        ^")
    assert point_at("", (0, 0), 80) == ("", "^")


async def test_long_output_goes_in_pieces() -> None:
    pieces: list[ExecuteResponse] = []

    async def write(piece: ExecuteResponse) -> None:
        pieces.append(piece)

    await Output(write, 80).plain("x" * 40_000)
    assert "".join(piece.text for piece in pieces) == "x" * 40_000 + "\n"
    assert max(len(piece.text) for piece in pieces) == 16_384
