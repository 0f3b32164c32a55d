"""PNG files as chunks: checked before they are believed, and told what they were painted from.

Format: W3C PNG (Third Edition), sections 5 and 11.3.3.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

from townsfolk import __version__
from townsfolk.pictures.painter import MAX_SIDE, PictureOrder

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PNG_BYTES = 16 * 1024 * 1024
MAX_KEYWORD_BYTES = 79
TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")
_U32 = struct.Struct(">I")


class MalformedPng(ValueError):
    """These bytes are no whole PNG file."""


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels of a whole PNG file: signature, chunk lengths, checksums and end are checked.

    Raises ``MalformedPng``.
    """
    size: tuple[int, int] | None = None
    seen: set[bytes] = set()
    for kind, data in _chunks(png):
        if size is None:
            if kind != b"IHDR" or len(data) != 13:
                raise MalformedPng("it does not begin with its header")
            size = _U32.unpack_from(data, 0)[0], _U32.unpack_from(data, 4)[0]
        seen.add(kind)
    if size is None or not {b"IDAT", b"IEND"} <= seen:
        raise MalformedPng("it is not complete")
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise MalformedPng(f"it is {size[0]}×{size[1]} pixels large")
    return size


def with_texts(png: bytes, texts: Mapping[str, str]) -> bytes:
    """The same picture with ``texts`` (keyword → value) as its only texts. Raises ``MalformedPng``."""
    kept = [(kind, data) for kind, data in _chunks(png) if kind not in TEXT_CHUNKS]
    written = [(b"iTXt", _international_text(keyword, text)) for keyword, text in texts.items()]
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in [*kept[:1], *written, *kept[1:]])


def described(png: bytes, order: PictureOrder, model: str, steps: int) -> bytes:
    """The same picture, telling how it can be painted again. Raises ``MalformedPng``."""
    texts = {
        "Description": order.prompt,
        "Negative prompt": order.negative_prompt,
        "Seed": str(order.seed),
        "Steps": str(steps),
        "Model": model,
        "Software": f"townsfolk {__version__}",
    }
    return with_texts(png, {keyword: text for keyword, text in texts.items() if text})


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(SIGNATURE):
        raise MalformedPng("it has no PNG signature")
    if len(png) > MAX_PNG_BYTES:
        raise MalformedPng(f"it has more than {MAX_PNG_BYTES} bytes")
    offset, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        header = png[offset : offset + 8]
        length = _U32.unpack_from(header)[0] if len(header) == 8 else len(png)
        kind, data = header[4:], png[offset + 8 : offset + 8 + length]
        checksum = png[offset + 8 + length : offset + 12 + length]
        if len(checksum) < 4:
            raise MalformedPng("it breaks off")
        if _U32.unpack(checksum)[0] != zlib.crc32(kind + data):
            raise MalformedPng("a checksum in it is wrong")
        yield kind, data
        offset += 12 + length


def _chunk(kind: bytes, data: bytes) -> bytes:
    return _U32.pack(len(data)) + kind + data + _U32.pack(zlib.crc32(kind + data))


def _international_text(keyword: str, text: str) -> bytes:
    """An iTXt chunk, uncompressed, without language: it alone holds UTF-8."""
    encoded = keyword.encode("latin-1")
    if not 1 <= len(encoded) <= MAX_KEYWORD_BYTES:
        raise ValueError(f"{keyword!r} is no PNG keyword")
    return encoded + b"\0\0\0\0\0" + text.replace("\0", "").encode("utf-8", "replace")
