"""Lines that cannot be understood, and lines of any bytes whatever."""

from __future__ import annotations

import asyncio
import random
import re
import unicodedata

import grpc
import pytest

from tests.daemon.conftest import Town
from tests.daemon.console.typed import offered, run
from townsfolk.daemon.console.vocabulary import VOCABULARY
from townsfolk.v1.console_pb2 import CompleteRequest

OK, INVALID, NOT_FOUND = grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("line", "code", "at_fault", "sentence"),
    [
        ("say smith hello", INVALID, "say", "there is no command 'say'; did you mean npc.say?"),
        ("NPC.Say smith", INVALID, "NPC.Say", "did you mean npc.say?"),
        ("npc.sya smith", INVALID, "npc.sya", "did you mean npc.say?"),
        ("make tea", INVALID, "make", "npc.help lists those there are"),
        ("npc.say", INVALID, "", "npc.say wants <persona>: npc.say <persona>"),
        ("npc.say smith", INVALID, "", "there is nothing to answer"),
        ("npc.say nobody hello", NOT_FOUND, "nobody", "there is no persona 'nobody'"),
        ("npc.say ../smith hello", INVALID, "../smith", "'../smith' is no persona id"),
        ("npc.say smith hello --session gone", NOT_FOUND, "gone", "no session 'gone' is open"),
        ("npc.say smith hello --seeed 3", INVALID, "--seeed", "no option '--seeed'; did you mean --seed?"),
        ("npc.say smith hello --seed", INVALID, "--seed", "--seed wants a whole number"),
        ("npc.say smith hello --seed x", INVALID, "x", "--seed wants a whole number from 0 to 2^64 - 1, not 'x'"),
        ("npc.say smith hello --seed -1", INVALID, "-1", "not '-1'"),
        ("npc.say smith hello --seed 18446744073709551616", INVALID, "18446744073709551616", "--seed wants"),
        ("npc.say smith hello --seed ²", INVALID, "²", "--seed wants"),
        ("npc.say smith hello --temperature nan", INVALID, "nan", "--temperature wants a number, not 'nan'"),
        ("npc.say smith hello --temperature 9", INVALID, "9", "sampling.temperature"),
        ("npc.say smith hello --top-k 4294967296", INVALID, "4294967296", "sampling.top_k"),
        ("npc.say smith hello --deadline 601", INVALID, "601", "deadline_s"),
        ("npc.say smith hello --seed 1 --seed 2", INVALID, "--seed", "--seed is given twice"),
        ("npc.say smith hello --priority high", INVALID, "high", "one of background, normal, urgent"),
        ("npc.load smith elf", INVALID, "elf", "'elf' is more than npc.load takes: npc.load <persona>"),
        ("npc.load smith --now", INVALID, "--now", "npc.load has no option '--now'; it has none at all"),
        ("npc.trace --full=yes", INVALID, "--full=yes", "--full takes no value"),
        ("npc.trace gone", NOT_FOUND, "gone", "no turn 'gone' is kept"),
        ("npc.trace", NOT_FOUND, "", "nobody was asked for a line yet"),
        ("npc.replay last --seed 4", NOT_FOUND, "last", "nobody was asked for a line yet"),
        ("npc.stats everything", INVALID, "everything", "npc.stats knows town, personas, tasks, sessions, turns"),
        ("npc.set max_sessions 4", NOT_FOUND, "max_sessions", "did you mean daemon.max_sessions?"),
        ("npc.set daemon.max_sessions 0", INVALID, "0", "whole number, at least 1, at most 10000000, not '0'"),
        ("npc.set daemon.max_sessions many", INVALID, "many", "not 'many'"),
        ("npc.set daemon.exit_when_idle_s inf", INVALID, "inf", "not 'inf'"),
        ("npc.help npc.sya", INVALID, "npc.sya", "did you mean npc.say?"),
        ("npc.say smith 'hello", INVALID, "'", "the quote at character 15 is never closed"),
    ],
)
async def test_a_bad_line_gets_one_sentence_and_a_pointer(
    town: Town, line: str, code: grpc.StatusCode, at_fault: str, sentence: str
) -> None:
    printed = await run(town, line)
    assert printed.code == code
    assert sentence in printed.sentence
    assert "\n" not in printed.sentence
    *pointer, told = printed.of("error").splitlines()
    assert told == printed.sentence
    if at_fault:
        shown, carets = pointer
        assert shown == line
        assert carets[carets.index("^") :] == "^" * len(at_fault)
        assert line[carets.index("^") :].startswith(at_fault)


async def test_an_empty_line_does_nothing(town: Town) -> None:
    for line in ("", "  \t "):
        printed = await run(town, line)
        assert (printed.code, printed.text) == (OK, "")


async def test_limits_of_the_request_are_kept(town: Town) -> None:
    assert (await run(town, "x" * 4001)).sentence == "the line has 4001 characters; 4000 are allowed"
    assert (await run(town, "🍺" * 4000)).code == INVALID  # characters are counted, not bytes: no such command
    for columns in (1, 19, 1001):
        assert (await run(town, "npc.help", columns=columns)).code == INVALID
    for columns in (0, 20, 1000):
        assert (await run(town, "npc.help", columns=columns)).code == OK
    for request in (CompleteRequest(line="x" * 4001), CompleteRequest(line="ab", cursor=3)):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await town.console.Complete(request)
        assert raised.value.code() == INVALID


async def test_a_bug_is_one_sentence_and_no_traceback(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(call: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setitem(VOCABULARY, "npc.load", VOCABULARY["npc.load"].__class__("npc.load", "", broken))
    printed = await run(town, "npc.load")
    assert printed.code == grpc.StatusCode.INTERNAL
    assert "secret" not in printed.text + printed.sentence


def any_line(dice: random.Random) -> str:
    """Words of the vocabulary and of nobody's, quotes, control characters, scripts of all kinds."""
    words = [
        *VOCABULARY, "smith", "elf", "monk", "last", "all", "town", "turns", "personas", "sessions", "hello", "-5",
        "--", "--seed", "--seed=7", "--session", "--persona", "--scale", "1e999", "nan", "daemon.max_sessions", "s1",
        "0.5", "--full", "--stop", "--top-k", "99999999999", "--deadline", "0.001", "", "'", '"', "\\", "\x00",
        "\x1b[31m", "\u202e", "日本語", "🍺", "\ud7ff", "\U0010ffff", "$(id)", "`id`", "%s%n", "../../etc", "\n", "\r",
    ]  # fmt: skip
    parts = dice.choices(words, k=dice.randrange(7))
    if dice.random() < 0.3:
        parts.append("".join(chr(dice.choice([*range(128), *range(0x80, 0x2100)])) for _ in range(dice.randrange(40))))
    if dice.random() < 0.8:
        parts.insert(0, dice.choice(list(VOCABULARY)))
    sensible = ["npc.say smith hello", "npc.trace last", "npc.replay --scale 1", "npc.stats turns", "npc.cancel all"]
    return dice.choice([*sensible, *[dice.choice([" ", " ", "  ", "="]).join(parts)] * 10])


async def test_any_line_gets_a_status_and_clean_text(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    dice = random.Random(11)
    await town.open("smith", session_id="s1")
    codes = []
    for _ in range(600):
        line = any_line(dice)
        columns = dice.choice([0, 20, 33, 1000])
        printed = await run(town, line, columns=columns, session_id=dice.choice(["", "s1", "gone"]))
        codes.append(printed.code)
        assert printed.code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), (line, printed.sentence)
        assert (printed.code == OK) == (not printed.of("error")), line
        assert not re.search(r"Traceback|Error\b", printed.text + printed.sentence), (line, printed.text)
        controls = {c for c in printed.text + printed.sentence if unicodedata.category(c) == "Cc"} - {"\n"}
        assert not controls, (line, controls)
        answer = await offered(town, line, dice.randrange(len(line) + 1))
        assert len(answer.completions) <= 64
        assert answer.replace_start <= answer.replace_end <= len(line)
    assert "unexpectedly" not in caplog.text
    assert {OK, INVALID, NOT_FOUND} <= set(codes)
    assert min(codes.count(OK), codes.count(INVALID)) > 50, "the lines do not reach far enough"


async def test_many_consoles_at_once_do_not_meet(town: Town) -> None:
    printed = await asyncio.gather(*(run(town, f"npc.say smith {number}.") for number in range(40)))
    assert {p.of("speech") for p in printed} == {"Aye.\n"}
