"""Frames between the daemon and its child processes: frozen dataclasses, msgpack, never pickle.

A message travels as a msgpack extension holding ``[tag, [field, …]]`` behind a little-endian 32-bit length. The tag is
looked up in one explicit table; an unknown tag or a wrong number of fields is an error, never a class named by the
wire.
"""

from __future__ import annotations

import asyncio
import dataclasses
import struct
from functools import partial
from typing import Any, BinaryIO, Generic, TypeVar

import msgpack

MAX_MESSAGE_BYTES = 64 * 1024 * 1024  # a tokenizer of 256k entries is about 20 MB of JSON
MAX_DEPTH = 8  # of messages in messages; ours go to 3, and each level costs C stack in msgpack
LENGTH_PREFIX = struct.Struct("<I")
STRUCT_EXT = 1  # msgpack extension type that marks a nested message
PACKING = {"use_bin_type": True, "unicode_errors": "surrogatepass"}  # paths need not be Unicode
UNPACKING = {"strict_map_key": False, "max_ext_len": MAX_MESSAGE_BYTES, "unicode_errors": "surrogatepass"}

MessageT = TypeVar("MessageT")


class MalformedMessage(ValueError):
    """The other end sent bytes that are no message of ours; the connection is not to be trusted any further."""


class FrameCodec(Generic[MessageT]):
    """Turns the messages of one conversation into frames and back.

    Args:
        types: every dataclass that may travel; its place is its tag.
        messages: those of them that may stand alone.
    """

    def __init__(self, types: tuple[type[Any], ...], messages: Any) -> None:
        self._types = types
        self._messages = messages
        self.tag_of = {cls: tag for tag, cls in enumerate(types)}
        self._fields_of = {cls: tuple(field.name for field in dataclasses.fields(cls)) for cls in types}

    def encode(self, message: MessageT) -> bytes:
        """One message as bytes, length prefix included. Raises ``ValueError`` past ``MAX_MESSAGE_BYTES``."""
        body: bytes = msgpack.packb(message, default=self.pack_struct, **PACKING)
        if len(body) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {len(body)} bytes is over the limit of {MAX_MESSAGE_BYTES}")
        return LENGTH_PREFIX.pack(len(body)) + body

    def decode(self, body: bytes) -> MessageT:
        """The message in ``body`` (without its length prefix). Raises ``MalformedMessage``."""
        try:
            message: MessageT = msgpack.unpackb(body, ext_hook=partial(self._unpack_struct, depth=1), **UNPACKING)
        except MalformedMessage:
            raise
        except Exception as error:  # msgpack raises several unrelated types for malformed input
            raise MalformedMessage(f"not a message: {error}") from error
        if not isinstance(message, self._messages):
            raise MalformedMessage(f"not a message but a bare {type(message).__name__}")
        return message

    def read(self, stream: BinaryIO) -> MessageT | None:
        """The next message of a stream; ``None`` at its end. Raises ``MalformedMessage``."""
        prefix = stream.read(LENGTH_PREFIX.size)
        if len(prefix) < LENGTH_PREFIX.size:
            return None
        return self.decode(stream.read(_length(prefix)))

    async def receive(self, stream: asyncio.StreamReader) -> MessageT | None:
        """The next message of a stream; ``None`` when the other end has closed it. Raises ``MalformedMessage``."""
        try:
            prefix = await stream.readexactly(LENGTH_PREFIX.size)
            return self.decode(await stream.readexactly(_length(prefix)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def pack_struct(self, value: Any) -> msgpack.ExtType:
        """What msgpack calls for a value that it does not know."""
        cls = type(value)
        tag = self.tag_of.get(cls)
        if tag is None:
            raise TypeError(f"{cls.__name__} is no message")
        fields = [getattr(value, name) for name in self._fields_of[cls]]
        return msgpack.ExtType(STRUCT_EXT, msgpack.packb([tag, fields], default=self.pack_struct, **PACKING))

    def _unpack_struct(self, code: int, data: bytes, *, depth: int) -> Any:
        if code != STRUCT_EXT:
            raise MalformedMessage(f"unknown extension type {code}")
        if depth > MAX_DEPTH:
            raise MalformedMessage(f"messages are nested more than {MAX_DEPTH} deep")
        content = msgpack.unpackb(data, ext_hook=partial(self._unpack_struct, depth=depth + 1), **UNPACKING)
        if not (isinstance(content, list) and len(content) == 2 and isinstance(content[1], list)):
            raise MalformedMessage("a message is [tag, fields]")
        tag, fields = content
        if type(tag) is not int or not 0 <= tag < len(self._types):
            raise MalformedMessage(f"unknown message tag {tag!r}")
        cls = self._types[tag]
        if len(fields) != len(self._fields_of[cls]):
            raise MalformedMessage(f"{cls.__name__} has {len(self._fields_of[cls])} fields, not {len(fields)}")
        return cls(*fields)


def _length(prefix: bytes) -> int:
    (length,) = LENGTH_PREFIX.unpack(prefix)
    if length > MAX_MESSAGE_BYTES:
        raise MalformedMessage(f"a message of {length} bytes is over the limit")
    return int(length)
