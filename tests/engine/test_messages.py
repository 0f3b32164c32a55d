"""What the daemon and the engine say to each other: everything that is sent arrives, and nothing else is believed."""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any

import msgpack
import pytest

from townsfolk import frames
from townsfolk.engine.messages import (
    CODEC,
    MESSAGE_TYPES,
    AdapterLoaded,
    AdapterRef,
    Batch,
    CallDone,
    CallFailed,
    Cancel,
    Capabilities,
    Failed,
    Finished,
    Generate,
    GetStats,
    LoadAdapter,
    MalformedMessage,
    Message,
    Ready,
    RequestFailed,
    SamplingParams,
    Shutdown,
    Started,
    Stats,
    Step,
    StepTokens,
    TokenLikelihood,
    UnloadAdapter,
    decode,
    encode,
)
from townsfolk.frames import LENGTH_PREFIX, STRUCT_EXT

ELF = AdapterRef("ab12" * 16, "/adapters/forest elf", 0.75)
ABLE = Capabilities(True, False, True, False, True, False, True)
SAMPLING = SamplingParams(
    temperature=0.8, top_k=40, top_p=0.9, min_p=0.05, repetition_penalty=1.1, seed=(1 << 64) - 1, max_tokens=7
)
LIKELIHOOD = TokenLikelihood(49_151, -12.25, [3, 49_151], [-0.5, -12.25])
EXAMPLES: list[Message] = [
    Generate(1, [5, 0, 49_151], SAMPLING, [2, 3], ELF, priority=-2),
    Generate((1 << 63) - 1, [], SamplingParams(), [], top_tokens=20),
    Generate(2, [1], SamplingParams(), [2], json_schema='{"type": "string", "title": "Größe"}'),
    Cancel(3),
    LoadAdapter(4, ELF),
    UnloadAdapter(5, ELF.digest),
    GetStats(6),
    Shutdown(),
    Ready("smollm2", "llama", "cpu", "bfloat16", 2048, 64, '{"model": "▁\\u2581"}', -1, [2, 0]),
    Ready(
        *("m", "llama", "cuda", "fp8", 1, 1, "{}", 1, [], 32, 8),
        Capabilities(True, False, True, False, True, False, True),
    ),
    Failed("INVALID_ARGUMENT", "the model “x” is damaged"),
    Started(7, 100, 64, 0.25),
    StepTokens(Step(1 << 40, 32, 8, 1_800_000_000_123_456_789), [8, (1 << 63) - 1], [11, 0]),
    StepTokens(Step(0, 0, 0, 0), [], []),
    StepTokens(Step(5, 2, 1, 6), [8, 1 << 62], [11, 0], {1 << 62: LIKELIHOOD}),
    Finished(9, "length", 96),
    Finished(9, "stop", 95, LIKELIHOOD),
    RequestFailed(10, "NOT_FOUND", "no adapter at /nowhere", "adapter"),
    RequestFailed(11, "INTERNAL", ""),
    RequestFailed(11, "RESOURCE_EXHAUSTED", "the queue is full", retry_after_s=2.5),
    AdapterLoaded(12, ELF.digest, 16, 1 << 33, True),
    CallFailed(13, "FAILED_PRECONDITION", "in use", "adapter"),
    CallDone(14),
    Stats(),
    Stats(15, steps=1, adapters_per_step={0: 9, 1: 10, 32: 11}, resident_adapters=["a", "b"], busy_s=0.5),
    Batch([]),
    Batch([StepTokens(Step(1, 2, 3, 4), [5], [6]), Started(6, 7, 8, 0.0), Finished(1, "stop", 1), Batch([Cancel(1)])]),
]


def body_of(message: Message) -> bytes:
    """A message without its length prefix, after checking the prefix."""
    data = encode(message)
    (length,) = LENGTH_PREFIX.unpack(data[: LENGTH_PREFIX.size])
    body = data[LENGTH_PREFIX.size :]
    assert length == len(body)
    return body


def struct(tag: Any, fields: Any) -> bytes:
    return msgpack.packb(msgpack.ExtType(STRUCT_EXT, msgpack.packb([tag, fields])))


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    arrived = decode(body_of(message))
    assert arrived == message
    assert type(arrived) is type(message)
    assert dataclasses.astuple(arrived) == dataclasses.astuple(message)


def test_every_type_of_message_is_among_the_examples_and_in_the_table() -> None:
    assert {type(message) for message in EXAMPLES} == set(typing.get_args(Message))
    assert set(MESSAGE_TYPES) == {
        *typing.get_args(Message),
        SamplingParams,
        AdapterRef,
        Step,
        TokenLikelihood,
        Capabilities,
    }
    assert len(set(MESSAGE_TYPES)) == len(MESSAGE_TYPES)


def test_numbers_of_any_kind_arrive_exactly() -> None:
    for value in (math.inf, -0.0, 5e-324, 0.1):
        arrived = decode(body_of(Started(1, 2, 3, value)))
        assert isinstance(arrived, Started)
        assert math.copysign(1, arrived.queue_s) == math.copysign(1, value)
        assert arrived.queue_s == value


def test_a_path_that_is_no_unicode_arrives_as_it_is() -> None:
    path = b"/adapters/\xe9lf".decode("utf-8", "surrogateescape")
    assert decode(body_of(LoadAdapter(1, AdapterRef("d", path)))) == LoadAdapter(1, AdapterRef("d", path))
    assert decode(body_of(CallFailed(1, "NOT_FOUND", f"no adapter at {path}"))).message.endswith(path)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x93\x01",
        body_of(Cancel(1))[:-1],
        body_of(Cancel(1)) + b"\x00",
        msgpack.packb(7),
        msgpack.packb([1, [2]]),
        msgpack.packb({"request_id": 1}),
        msgpack.packb("Cancel"),
        msgpack.packb(None),
        msgpack.packb(msgpack.ExtType(STRUCT_EXT + 1, msgpack.packb([1, [2]]))),
        msgpack.packb(msgpack.ExtType(STRUCT_EXT, b"")),
        msgpack.packb(msgpack.ExtType(STRUCT_EXT, b"\x00")),
        struct("Cancel", [1]),
        struct(1.0, [1]),
        struct(True, [1]),
        struct(None, [1]),
        struct(1, 1),
        struct(1, {"request_id": 1}),
        msgpack.packb(msgpack.ExtType(STRUCT_EXT, msgpack.packb([1, [1], 1]))),
        msgpack.packb(msgpack.ExtType(STRUCT_EXT, msgpack.packb([1]))),
    ],
    ids=lambda body: body.hex() or "empty",
)
def test_bytes_that_are_no_message_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(body)


@pytest.mark.parametrize("tag", [-1, len(MESSAGE_TYPES), 1 << 40])
def test_an_unknown_tag_is_malformed(tag: int) -> None:
    with pytest.raises(MalformedMessage, match=f"unknown message tag {tag}"):
        decode(struct(tag, []))


@pytest.mark.parametrize("cls", MESSAGE_TYPES, ids=lambda cls: cls.__name__)
def test_too_many_or_too_few_fields_are_malformed(cls: type[Any]) -> None:
    count = len(dataclasses.fields(cls))
    for wrong in {count + 1, max(0, count - 1), 0} - {count}:
        with pytest.raises(MalformedMessage, match=f"{cls.__name__} has {count} fields, not {wrong}"):
            decode(struct(CODEC.tag_of[cls], [0] * wrong))


def test_a_part_of_a_message_is_no_message() -> None:
    with pytest.raises(MalformedMessage, match="not a message but a bare SamplingParams"):
        decode(msgpack.packb(SAMPLING, default=CODEC.pack_struct))


def test_a_malformed_message_inside_a_batch_spoils_it_all() -> None:
    inner = msgpack.ExtType(STRUCT_EXT, msgpack.packb([99, []]))
    with pytest.raises(MalformedMessage, match="unknown message tag 99"):
        decode(struct(CODEC.tag_of[Batch], [[inner]]))


def test_tokens_without_their_lines_are_malformed() -> None:
    step = msgpack.ExtType(STRUCT_EXT, msgpack.packb([CODEC.tag_of[Step], [1, 2, 3, 4]]))
    with pytest.raises(MalformedMessage, match="2 tokens for 1 lines"):
        decode(struct(CODEC.tag_of[StepTokens], [step, [1], [2, 3], {}]))


def test_messages_nested_without_end_are_malformed_and_no_crash() -> None:
    nested = msgpack.packb(None)
    for _ in range(20_000):
        nested = msgpack.packb(msgpack.ExtType(STRUCT_EXT, nested))
    with pytest.raises(MalformedMessage):
        decode(nested)


def test_every_cut_of_a_message_is_malformed() -> None:
    body = body_of(EXAMPLES[0])
    for length in range(len(body)):
        with pytest.raises(MalformedMessage):
            decode(body[:length])


def test_a_message_over_the_limit_is_refused_where_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    message = Failed("INTERNAL", "x" * 1000)
    size = len(body_of(message))
    monkeypatch.setattr(frames, "MAX_MESSAGE_BYTES", size)
    assert decode(body_of(message)) == message
    monkeypatch.setattr(frames, "MAX_MESSAGE_BYTES", size - 1)
    with pytest.raises(ValueError, match=f"a message of {size} bytes is over the limit of {size - 1}"):
        encode(message)


def test_what_is_no_message_is_not_sent() -> None:
    with pytest.raises(TypeError, match="object is no message"):
        encode(Batch([object()]))
    with pytest.raises(TypeError, match="set is no message"):
        encode(Batch([{1}]))
