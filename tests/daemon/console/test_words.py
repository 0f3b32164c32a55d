"""Words of a line, against two references: Python's shlex and the system's own shell."""

from __future__ import annotations

import random
import shlex
import shutil
import subprocess

import pytest

from townsfolk.daemon.console.words import BadLine, Word, quoted, scan, split


def texts(line: str) -> list[str]:
    return [word.text for word in split(line)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("  \t\n ", []),
        ("npc.say smith hello", ["npc.say", "smith", "hello"]),
        ('npc.say smith "Do you sell rope?"', ["npc.say", "smith", "Do you sell rope?"]),
        ("say 'a \"b\" c'", ["say", 'a "b" c']),
        (r"a\ b c\"d", ["a b", 'c"d']),
        (r'"a\"b\\c\nd"', ['a"b\\c\\nd']),
        (r'"\$x \`"', ["$x `"]),
        ("'a\\'b", ["a\\b"]),
        ("a''b \"\" ''", ["ab", "", ""]),
        ("$HOME `id` *.py # no; | b>c", ["$HOME", "`id`", "*.py", "#", "no;", "|", "b>c"]),
        ("grüß 'Gott 🍺'", ["grüß", "Gott 🍺"]),
        ("one \\\ntwo", ["one", "two"]),
    ],
)
def test_words_are_split_as_a_shell_does_and_nothing_is_expanded(line: str, expected: list[str]) -> None:
    assert texts(line) == expected


@pytest.mark.parametrize(
    ("line", "place", "words"),
    [
        ('npc.say smith "hello', 14, "the quote at character 15 is never closed"),
        ("npc.say smith don't", 17, "the quote at character 18 is never closed; put words that hold an apostrophe"),
        ("npc.say smith hello\\", 19, "nothing follows the backslash"),
        ('"\\', 0, "the quote at character 1 is never closed"),
    ],
)
def test_a_word_without_an_end_is_pointed_at(line: str, place: int, words: str) -> None:
    with pytest.raises(BadLine) as raised:
        split(line)
    assert raised.value.span == (place, place + 1)
    assert raised.value.message.startswith(words)


def test_spans_cover_the_words_with_their_quotes() -> None:
    line = "  npc.say 'a b'c \U0001f37a"
    assert [line[word.start : word.end] for word in split(line)] == ["npc.say", "'a b'c", "\U0001f37a"]


def test_a_line_that_still_grows_tells_its_open_word() -> None:
    assert scan('npc.say "dwarf sm') == [Word("npc.say", 0, 7), Word("dwarf sm", 8, 17, opened_by=8)]


def random_lines(alphabet: str, number: int) -> list[str]:
    dice = random.Random(7)
    return ["".join(dice.choices(alphabet, k=dice.randrange(12))) for _ in range(number)]


def test_words_are_those_of_shlex() -> None:
    compared = 0
    for line in random_lines("ab \t'\"\\é🍺-=", 5000):
        try:
            expected = shlex.split(line)
        except ValueError:
            with pytest.raises(BadLine):
                split(line)
            continue
        assert texts(line) == expected, line
        compared += 1
    assert compared > 1000


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell to compare with")
def test_words_are_those_of_the_systems_shell() -> None:
    lines = []
    for line in random_lines("ab \t'\"\\-=", 2000):
        try:
            split(line)
        except BadLine:
            continue
        lines.append(line)
    lines += [r'"\$a" \$b "\`"', r"'\$' \`"]
    script = "".join(f'set -- {line}\nfor w in "$@"; do printf "<%s>" "$w"; done\nprintf "\\n"\n' for line in lines)
    printed = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True, timeout=60)
    assert printed.stdout.splitlines() == ["".join(f"<{word}>" for word in texts(line)) for line in lines]


def test_quoted_words_come_back_as_they_were() -> None:
    for line in random_lines("ab '\"\\$\n🍺", 2000):
        assert texts(quoted(line)) == [line]
