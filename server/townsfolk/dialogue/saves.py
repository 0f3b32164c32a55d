"""A session as bytes for a game's own save file, and back.

A save is a header and a body. The header, the same in every version, is magic, format version, length of the body and
a BLAKE2b-256 checksum of all the rest. The body is msgpack under zlib; nothing in it is a path, a class or code.
Version 1 holds

    [session id, [persona id, …], player name, {metadata}, [turn, …], {persona number: mark of its last fallback line}]

and a turn is ``[turn id, persona number, situation, player, reply, [token id, …], complete]``.

The checksum tells damage, not forgery: players edit their save files. So a body is read field by field with a type and
a bound for each, its words enter prompts as text like any other, and its tokens only after
``turns_with_doubtful_tokens`` has compared them with the words.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from townsfolk.dialogue.line import SpokenLine
from townsfolk.dialogue.prompt import Exchange
from townsfolk.dialogue.request import MAX_TEXT_CHARACTERS
from townsfolk.dialogue.session import (
    FALLBACK_MARK_BYTES,
    ID_PATTERN,
    MAX_METADATA_ENTRIES,
    MAX_PERSONAS,
    PastTurn,
    Session,
    check_session,
)
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.errors import InvalidArgument, TownsfolkError
from townsfolk.personas.library import ID_PATTERN as PERSONA_ID_PATTERN

FORMAT_VERSION = 1
MAGIC = b"TOWNFOLK"
HEADER = struct.Struct("<8sHI32s")
CHECKSUM_BYTES = 32

KIBIBYTE = 1024
MAX_SAVE_BYTES = 64 * KIBIBYTE
MIN_TURNS_BYTES = 48 * KIBIBYTE  # what the turns may take even where the game's metadata alone is large
MAX_RESTORED_BYTES = 256 * KIBIBYTE  # room for the largest metadata beside these
MAX_TURNS_PACKED_BYTES = 1024 * KIBIBYTE  # before compression
MAX_BODY_BYTES = 2048 * KIBIBYTE
MAX_TURNS = 10_000  # as many as `daemon.max_history_exchanges` can be
MAX_REPLY_CHARACTERS = 262_144
MAX_REPLY_TOKENS = 2048
MAX_TOKEN_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SavedSession:
    """What a save holds."""

    session_id: str
    persona_ids: tuple[str, ...]
    player_name: str
    metadata: Mapping[str, str]
    turns: Sequence[PastTurn]
    last_fallback: Mapping[str, bytes]


def saved(session: Session) -> SavedSession:
    """The session as it is now. What still runs is not in it."""
    return SavedSession(
        session.id,
        session.persona_ids,
        session.player_name,
        dict(session.metadata),
        session.heard_turns(),
        dict(session.last_fallback),
    )


def encode(state: SavedSession) -> tuple[bytes, int]:
    """The save, and the number of turns in it: the newest ones, as many as fit.

    It has at most ``MAX_SAVE_BYTES``. Where more than a quarter of that went to metadata, the turns still get
    ``MIN_TURNS_BYTES``.
    """
    number_of = {persona_id: number for number, persona_id in enumerate(state.persona_ids)}
    turns = [_packed_turn(past, number_of) for past in state.turns]
    most = 0
    size = 0
    while most < min(len(turns), MAX_TURNS) and (size := size + len(turns[-1 - most])) <= MAX_TURNS_PACKED_BYTES:
        most += 1
    state_bytes = _sealed(state, number_of, turns[len(turns) - most :])
    if len(state_bytes) <= MAX_SAVE_BYTES:
        return state_bytes, most
    limit = max(MAX_SAVE_BYTES, len(_sealed(state, number_of, [])) + MIN_TURNS_BYTES)
    fitting, too_many = 0, most + 1
    while too_many - fitting > 1:
        tried = (fitting + too_many) // 2
        if len(_sealed(state, number_of, turns[len(turns) - tried :])) <= limit:
            fitting = tried
        else:
            too_many = tried
    return _sealed(state, number_of, turns[len(turns) - fitting :]), fitting


def decode(state: bytes) -> SavedSession:
    """The session in a save. Raises ``InvalidArgument`` that tells what is wrong with it."""
    version, body = _unsealed(state)
    try:
        return READERS[version](body)
    except _Malformed as error:
        raise InvalidArgument(f"the save is malformed: {error}", field="state") from error
    except TownsfolkError as error:
        raise InvalidArgument(f"the save is malformed: {error.message}", field="state") from error


def turns_with_doubtful_tokens(history: Sequence[PastTurn], tokenizer: TextTokenizer) -> list[str]:
    """Ids of the turns whose ``reply_ids`` do not say exactly their reply in this tokenizer, without control tokens."""
    doubtful = []
    for past in history:
        ids = past.exchange.reply_ids
        if ids and not _says(ids, past.exchange.reply, tokenizer):
            doubtful.append(past.turn_id)
    return doubtful


def _says(ids: Sequence[int], reply: str, tokenizer: TextTokenizer) -> bool:
    if not all(tokenizer.token_bytes(token_id) for token_id in ids):
        return False
    line = SpokenLine(tokenizer)
    for token_id in ids:
        line.push(token_id)
    line.finish()
    return line.text == reply and line.reply_ids == tuple(ids)


# ── header ───────────────────────────────────────────────────────────────────────────────────────────────────


def _sealed(state: SavedSession, number_of: Mapping[str, int], turns: Sequence[bytes]) -> bytes:
    packer = msgpack.Packer(autoreset=False)
    packer.pack_array_header(6)
    packer.pack(state.session_id)
    packer.pack(state.persona_ids)
    packer.pack(state.player_name)
    packer.pack(dict(state.metadata))
    packer.pack_array_header(len(turns))
    marks = {number_of[persona_id]: mark for persona_id, mark in state.last_fallback.items() if persona_id in number_of}
    body = zlib.compress(packer.bytes() + b"".join(turns) + msgpack.packb(marks), level=9)
    return seal(FORMAT_VERSION, body)


def seal(version: int, body: bytes) -> bytes:
    """A save of a format version around a body."""
    return HEADER.pack(MAGIC, version, len(body), _checksum(version, body)) + body


def _checksum(version: int, body: bytes) -> bytes:
    unsigned = HEADER.pack(MAGIC, version, len(body), bytes(CHECKSUM_BYTES))
    return hashlib.blake2b(unsigned + body, digest_size=CHECKSUM_BYTES).digest()


def _unsealed(state: bytes) -> tuple[int, bytes]:
    """Format version and unpacked body of a save."""

    def refuse(why: str) -> InvalidArgument:
        return InvalidArgument(why, field="state")

    if len(state) > MAX_RESTORED_BYTES:
        raise refuse(f"the save has {len(state)} bytes; none has more than {MAX_RESTORED_BYTES}")
    if not state or state[: len(MAGIC)] != MAGIC[: len(state)]:
        raise refuse("these bytes are no save of Townsfolk; pass what Save returned, unchanged")
    if len(state) < HEADER.size:
        raise refuse(f"the save is truncated: {len(state)} bytes are less than its header")
    _, version, length, checksum = HEADER.unpack_from(state)
    body = state[HEADER.size :]
    if len(body) < length:
        raise refuse(f"the save is truncated: {len(state)} of {HEADER.size + length} bytes are there")
    if len(body) > length or checksum != _checksum(version, body):
        raise refuse("the save is damaged: its checksum does not match its bytes")
    if version > FORMAT_VERSION:
        raise refuse(
            f"the save has format version {version}, made by a newer Townsfolk; this one reads up to {FORMAT_VERSION}"
        )
    if version not in READERS:
        raise refuse(f"the save is malformed: there is no format version {version}")
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(body, MAX_BODY_BYTES)
    except zlib.error as error:
        raise refuse(f"the save is malformed: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise refuse(f"the save is malformed: its body does not end within {MAX_BODY_BYTES} bytes, or goes on after it")
    return version, unpacked


# ── body ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Malformed(ValueError):
    """The body holds what no save holds."""


def _packed_turn(past: PastTurn, number_of: Mapping[str, int]) -> bytes:
    exchange = past.exchange
    fields = [
        past.turn_id,
        number_of[past.persona_id],
        exchange.situation,
        exchange.player,
        exchange.reply,
        exchange.reply_ids,
        past.complete,
    ]
    packed: bytes = msgpack.packb(fields)
    return packed


def _read_version_1(body: bytes) -> SavedSession:
    try:
        content = msgpack.unpackb(body, strict_map_key=False, max_ext_len=0)
    except Exception as error:  # msgpack raises several unrelated types for malformed input
        raise _Malformed(f"its body is no msgpack ({error})") from error
    fields = _fields(content, 6, "the session")
    session_id = _text(fields[0], 128, "the session's id")
    if not ID_PATTERN.fullmatch(session_id):
        raise _Malformed(f"{session_id!r} is no session id")
    persona_ids = tuple(_text(item, 64, "a persona's id") for item in _items(fields[1], MAX_PERSONAS, "the personas"))
    for persona_id in persona_ids:
        if not PERSONA_ID_PATTERN.fullmatch(persona_id):
            raise _Malformed(f"{persona_id!r} is no persona id")
    player_name = _text(fields[2], KIBIBYTE, "the player's name")
    metadata = {
        _text(key, KIBIBYTE, "a metadata key"): _text(value, KIBIBYTE, "a metadata value")
        for key, value in _mapping(fields[3], MAX_METADATA_ENTRIES, "the metadata").items()
    }
    check_session(persona_ids, player_name, metadata)
    turns = [_turn(item, persona_ids) for item in _items(fields[4], MAX_TURNS, "the turns")]
    last_fallback = {
        persona_ids[_number(key, len(persona_ids) - 1, "a persona's number")]: _mark(value)
        for key, value in _mapping(fields[5], MAX_PERSONAS, "the fallback marks").items()
    }
    return SavedSession(session_id, persona_ids, player_name, metadata, turns, last_fallback)


def _turn(value: object, persona_ids: Sequence[str]) -> PastTurn:
    turn_id, persona, situation, player, reply, reply_ids, complete = _fields(value, 7, "a turn")
    turn_id = _text(turn_id, 128, "a turn's id")
    if not ID_PATTERN.fullmatch(turn_id):
        raise _Malformed(f"{turn_id!r} is no turn id")
    if type(complete) is not bool:
        raise _Malformed("whether a turn is complete is neither yes nor no")
    exchange = Exchange(
        _text(situation, MAX_TEXT_CHARACTERS, "a situation"),
        _text(player, MAX_TEXT_CHARACTERS, "what the player said"),
        _text(reply, MAX_REPLY_CHARACTERS, "a reply"),
        tuple(
            _number(token_id, MAX_TOKEN_ID, "a token") for token_id in _items(reply_ids, MAX_REPLY_TOKENS, "the tokens")
        ),
    )
    if not exchange.reply:
        raise _Malformed("a turn says nothing")
    persona_id = persona_ids[_number(persona, len(persona_ids) - 1, "a turn's persona")]
    return PastTurn(turn_id, persona_id, exchange, complete)


def _fields(value: object, count: int, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) != count:
        raise _Malformed(f"{what} is no list of {count}")
    return value


def _items(value: object, most: int, what: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise _Malformed(f"{what} are no list of at most {most}")
    return value


def _mapping(value: object, most: int, what: str) -> dict[Any, Any]:
    if not isinstance(value, dict) or len(value) > most:
        raise _Malformed(f"{what} is no mapping of at most {most}")
    return value


def _text(value: object, most: int, what: str) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise _Malformed(f"{what} is no text of at most {most} characters")
    return value


def _number(value: object, most: int, what: str) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise _Malformed(f"{what} is no number from 0 to {most}")
    return value


def _mark(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != FALLBACK_MARK_BYTES:
        raise _Malformed(f"a fallback mark has not {FALLBACK_MARK_BYTES} bytes")
    return value


READERS: dict[int, Callable[[bytes], SavedSession]] = {1: _read_version_1}
