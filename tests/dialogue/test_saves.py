"""Saves: everything comes back, nothing else gets in, and no bytes crash the reader."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.fakes import tiny_tokenizer
from townsfolk.dialogue import saves
from townsfolk.dialogue.prompt import Exchange
from townsfolk.dialogue.saves import SavedSession, decode, encode, seal, turns_with_doubtful_tokens
from townsfolk.dialogue.session import PastTurn, SessionStore
from townsfolk.errors import InvalidArgument

VERSION_1 = Path(__file__).parent / "save_version_1.json"
MARK = b"12345678"


def turn(number: int, persona_id: str = "smith", reply: str = "Aye.", **exchange: Any) -> PastTurn:
    ids = tuple(tiny_tokenizer().encode(f" {reply}"))
    return PastTurn(f"t{number}", persona_id, Exchange("at dusk", f"Grüße {number}? 🍺", reply, ids, **exchange))


def conversation(turns: int = 2, **fields: Any) -> SavedSession:
    past = [turn(number, "smith" if number % 2 else "elf") for number in range(turns)]
    values = {"metadata": {"quest": "the Pale"}, "last_fallback": {"elf": MARK}, **fields}
    return SavedSession("s:1", ("smith", "elf"), "Ada", turns=past, **values)


def rebuilt(state: bytes, change: Callable[[list[Any]], None]) -> bytes:
    """The save with another body, and a checksum that fits it."""
    body = msgpack.unpackb(zlib.decompress(state[saves.HEADER.size :]), strict_map_key=False)
    change(body)
    return seal(1, zlib.compress(msgpack.packb(body)))


def refusal(state: bytes) -> str:
    """Why a save is refused."""
    with pytest.raises(InvalidArgument) as raised:
        decode(state)
    assert raised.value.field == "state"
    return raised.value.message


def test_everything_comes_back() -> None:
    state, turns = encode(conversation(5))
    assert turns == 5
    assert decode(state) == conversation(5)


def test_an_empty_conversation_can_be_saved() -> None:
    bare = SavedSession("s", ("smith",), "", {}, [], {})
    assert decode(encode(bare)[0]) == bare


def test_nothing_heard_is_not_saved() -> None:
    session = SessionStore(4, 8).open(["smith", "elf"])
    session.remember(turn(1).as_heard(0))
    session.remember(turn(2).as_heard(2))
    (kept,) = decode(encode(saves.saved(session))[0]).turns
    assert (kept.turn_id, kept.exchange.reply, kept.complete) == ("t2", "Ay", False)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_changed_byte_is_refused() -> None:
    state, _ = encode(conversation())
    for at in range(len(state)):
        for flip in (1, 0x80, 0xFF):
            refusal(state[:at] + bytes([state[at] ^ flip]) + state[at + 1 :])


def test_every_truncation_is_refused_as_one() -> None:
    state, _ = encode(conversation())
    for length in range(1, len(state)):
        assert "truncated" in refusal(state[:length])


def test_more_than_the_save_is_refused() -> None:
    assert "damaged" in refusal(encode(conversation())[0] + b"\0")


def test_a_newer_format_is_told_from_damage() -> None:
    state, _ = encode(conversation())
    newer = seal(2, b"whatever comes then")
    assert "newer Townsfolk" in refusal(newer)
    assert "version 2" in refusal(newer)
    assert "damaged" in refusal(state[:8] + b"\x02\0" + state[10:])
    assert "format version 0" in refusal(seal(0, b""))


@pytest.mark.parametrize("state", [b"", b"PK\x03\x04", b"\0" * 1000, b"TOWNFOLX" + b"\0" * 100])
def test_what_is_no_save_is_told_so(state: bytes) -> None:
    assert "no save" in refusal(state)


def test_a_save_that_unpacks_to_more_than_any_save_is_refused() -> None:
    bomb = zlib.compress(b"\0" * (64 << 20), 9)
    assert "does not end" in refusal(seal(1, bomb))
    assert "bytes" in refusal(b"TOWNFOLK" + b"\0" * saves.MAX_RESTORED_BYTES)


def set_turn(field: int, value: object) -> Callable[[list[Any]], None]:
    def change(body: list[Any]) -> None:
        body[4][0][field] = value

    return change


def set_session(field: int, value: object) -> Callable[[list[Any]], None]:
    def change(body: list[Any]) -> None:
        body[field] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_session(0, "../up"),
        set_session(0, 7),
        set_session(0, b"s"),
        set_session(1, []),
        set_session(1, ["smith", "smith"]),
        set_session(1, ["smith", "../elf"]),
        set_session(1, [f"p{number}" for number in range(33)]),
        set_session(2, "Ada\nObey"),
        set_session(2, None),
        set_session(3, {"k": 1}),
        set_session(3, {"k": "v" * 2000}),
        set_session(3, {str(number): "" for number in range(33)}),
        set_session(4, {}),
        set_session(4, [[]]),
        set_session(5, {0: b"short"}),
        set_session(5, {2: MARK}),
        set_session(5, {True: MARK}),
        set_turn(0, "no spaces"),
        set_turn(1, 2),
        set_turn(1, -1),
        set_turn(1, True),
        set_turn(1, 0.0),
        set_turn(2, "x" * 4001),
        set_turn(3, "x" * 4001),
        set_turn(4, ""),
        set_turn(4, msgpack.ExtType(1, b"code")),
        set_turn(5, [1.5]),
        set_turn(5, [-1]),
        set_turn(5, [2**40]),
        set_turn(5, [1] * 2049),
        set_turn(6, 1),
        lambda body: body.append(0),
        lambda body: body[4][0].append(0),
        lambda body: body.clear(),
    ],
)
def test_a_forged_save_with_anything_out_of_place_is_refused(change: Callable[[list[Any]], None]) -> None:
    assert "malformed" in refusal(rebuilt(encode(conversation())[0], change))


def test_random_bodies_behind_a_right_checksum_never_crash() -> None:
    state, _ = encode(conversation())
    body = zlib.decompress(state[saves.HEADER.size :])
    chance = random.Random(4)
    read = 0
    for _ in range(3000):
        damaged = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        cut = bytes(damaged[: chance.randint(0, len(damaged))]) if chance.random() < 0.2 else bytes(damaged)
        try:
            decode(seal(1, zlib.compress(cut, 1)))
            read += 1  # another letter in a word: nothing that a checksum would not have told
        except InvalidArgument:
            pass
    assert read < 3000


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_tokens_that_say_something_else_are_doubted() -> None:
    tokenizer = tiny_tokenizer()
    control = tokenizer.control_ids["<|im_end|>"]
    right = turn(1)

    def with_ids(number: int, ids: list[int]) -> PastTurn:
        exchange = right.exchange
        return PastTurn(f"t{number}", "smith", Exchange("", exchange.player, exchange.reply, tuple(ids)))

    spoken = list(right.exchange.reply_ids)
    history = [
        right,
        with_ids(2, tokenizer.encode("Nay.")),
        with_ids(3, [*spoken, control]),
        with_ids(4, [*spoken, 10**6]),
        with_ids(5, []),
        with_ids(6, [*spoken, *tokenizer.encode(" \n")]),  # white space at the end is not part of a line
    ]
    assert turns_with_doubtful_tokens(history, tokenizer) == ["t2", "t3", "t4"]


# ── sizes ────────────────────────────────────────────────────────────────────────────────────────────────────


def babble(chance: random.Random, characters: int) -> str:
    """Text that hardly compresses."""
    return "".join(chr(chance.randrange(0x4E00, 0x9FA5)) for _ in range(characters))


def test_a_long_conversation_fits_as_a_whole() -> None:
    lines = Path(__file__).parents[2].joinpath("personas/forest_elf/dialogue.jsonl").read_text("utf-8").splitlines()
    turns = []
    for number in range(64):
        line = json.loads(lines[number])
        ids = tuple(range(1000 + number * 300, 1000 + number * 300 + len(line["reply"]) // 4))
        turns.append(PastTurn(f"{number:032x}", "elf", Exchange(line["situation"], line["player"], line["reply"], ids)))
    state, count = encode(SavedSession("s", ("elf",), "Ada", {}, turns, {}))
    assert count == 64
    assert len(state) <= 64 * 1024


def test_of_a_conversation_that_does_not_fit_the_newest_turns_are_kept() -> None:
    chance = random.Random(1)
    turns = [PastTurn(f"t{n}", "elf", Exchange("", babble(chance, 4000), "Aye.")) for n in range(200)]
    state, count = encode(SavedSession("s", ("elf",), "", {}, turns, {}))
    assert 48 * 1024 < len(state) <= 64 * 1024
    assert 0 < count < 200
    assert list(decode(state).turns) == turns[-count:]


def test_large_metadata_is_kept_and_leaves_room_for_the_turns() -> None:
    chance = random.Random(2)
    metadata = {f"k{n}": babble(chance, 1024) for n in range(32)}
    turns = [PastTurn(f"t{n}", "elf", Exchange("", babble(chance, 1000), "Aye.")) for n in range(200)]
    state, count = encode(SavedSession("s", ("elf",), "", metadata, turns, {}))
    assert len(state) <= saves.MAX_RESTORED_BYTES
    assert count >= 10
    assert decode(state).metadata == metadata


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_version_1_saved_is_still_read() -> None:
    """The file was written by version 1; never write it again."""
    fixture = json.loads(VERSION_1.read_text("utf-8"))
    assert decode(bytes.fromhex(fixture["state"])) == conversation(3)
