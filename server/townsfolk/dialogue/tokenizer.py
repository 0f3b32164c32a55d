"""Text to token ids and back, with one rule: a control token never comes from human text.

The tokenizer of the model arrives as Hugging Face ``tokenizers`` JSON. For human text a second tokenizer is built
from it that has no added tokens at all: not in its matching table, not in its vocabulary, not as the result of a
merge. ``<|im_end|>`` typed by a player is then nine ordinary tokens that spell ``<|im_end|>``.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from tokenizers import Tokenizer

from townsfolk.errors import InvalidArgument

BYTE_TOKEN = re.compile(r"^<0x([0-9A-Fa-f]{2})>$")
SENTENCEPIECE_SPACE = "▁"


class TextTokenizer:
    """Encodes human text without control tokens; looks control tokens up by name; turns ids into bytes.

    Args:
        tokenizer_json: the ``tokenizers`` serialisation of a BPE tokenizer. Raises ``InvalidArgument`` for others.
    """

    def __init__(self, tokenizer_json: str) -> None:
        try:
            description: dict[str, Any] = json.loads(tokenizer_json)
            kind = description["model"].get("type")
            if kind != "BPE":
                raise InvalidArgument(f"tokenizers of type {kind} are not supported (BPE is)", field="model")
            self._read(description)
        except InvalidArgument:
            raise
        except Exception as error:  # `tokenizers` raises nothing narrower
            raise InvalidArgument(f"the model's tokenizer cannot be read: {error}", field="model") from error

    def _read(self, description: dict[str, Any]) -> None:
        vocabulary: dict[str, int] = description["model"]["vocab"]
        added: list[dict[str, Any]] = description.get("added_tokens") or []
        self.control_ids: dict[str, int] = {t["content"]: t["id"] for t in added if _is_control(t["content"])}
        self._reserved = frozenset(self.control_ids.values())
        self._control_names = {token_id: name for name, token_id in self.control_ids.items()}
        self.byte_level = _is_byte_level(description)
        self._bytes_of = _byte_table(vocabulary, self.control_ids, byte_level=self.byte_level)
        self._bytes_of.update({t["id"]: t["content"].encode() for t in added if not _is_control(t["content"])})
        self.vocab_size = max([*vocabulary.values(), *(t["id"] for t in added)]) + 1
        self._text = Tokenizer.from_str(json.dumps(without_added_tokens(description)))

    def encode(self, text: str) -> list[int]:
        """Token ids of human text; never one of ``control_ids``."""
        try:
            ids: list[int] = self._text.encode(text, add_special_tokens=False).ids
        except TypeError as error:  # half a surrogate pair, as a JSON file may hold
            raise InvalidArgument("the text is no valid Unicode", field="text") from error
        if not self._reserved.isdisjoint(ids):
            raise InvalidArgument("the text cannot be encoded without control tokens", field="text")
        return ids

    def control_id(self, name: str) -> int:
        """The id of a control token such as ``<|im_start|>``. Raises ``InvalidArgument`` where there is none."""
        if name not in self.control_ids:
            raise InvalidArgument(f"the model's tokenizer has no token {name}", field="model")
        return self.control_ids[name]

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token stands for; none for a control token or an id outside the vocabulary."""
        return self._bytes_of.get(token_id, b"")

    def piece(self, token_id: int) -> bytes:
        """A token as people look at it: its bytes, or the name of a control token, which never becomes text."""
        name = self._control_names.get(token_id)
        return self.token_bytes(token_id) if name is None else name.encode()

    def decode(self, ids: list[int]) -> str:
        """The text of ``ids``, control tokens left out, broken UTF-8 replaced by U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", errors="replace")


class StreamingDecoder:
    """Tokens in, text out, whole code points only: a character spread over tokens appears when its last byte does."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        self._rest = b""  # the beginning of a character

    def push(self, token_id: int) -> str:
        data = self._rest + self._tokenizer.token_bytes(token_id)
        text, used = codecs.utf_8_decode(data, "replace", False)
        self._rest = data[used:]
        return text

    def flush(self) -> str:
        """What is left at the end: U+FFFD if the last character never became whole, else nothing."""
        text, _ = codecs.utf_8_decode(self._rest, "replace", True)
        self._rest = b""
        return text


def _is_control(added_token: str) -> bool:
    """A single character is a letter, whatever a fine-tune lists it as: without it people could not write."""
    return len(added_token) > 1


def without_added_tokens(description: dict[str, Any]) -> dict[str, Any]:
    """A ``tokenizers`` serialisation changed so that no text becomes an added token, nor gets a space before it."""
    added = {t["content"] for t in description.get("added_tokens") or [] if _is_control(t["content"])}
    model = dict(description["model"])
    model["vocab"] = {token: i for token, i in model["vocab"].items() if token not in added}
    merges = [pair.split(" ", 1) if isinstance(pair, str) else pair for pair in model.get("merges", [])]
    # a merge survives if what it joins and what it makes are still words of the vocabulary
    model["merges"] = [
        [left, right]
        for left, right in merges
        if left in model["vocab"] and right in model["vocab"] and left + right in model["vocab"]
    ]
    if model.get("unk_token") in added:
        model["unk_token"] = None
    return {
        **description,
        "added_tokens": [],
        "post_processor": None,
        "normalizer": _without_leading_space(description.get("normalizer")),
        "pre_tokenizer": _without_leading_space(description.get("pre_tokenizer")),
        "model": model,
    }


def _without_leading_space(part: dict[str, Any] | None) -> dict[str, Any] | None:
    """SentencePiece puts a space before a text; a prompt is made of many texts, whose template sets the spaces.

    ``part`` is a normalizer or a pre-tokenizer.
    """
    if not part:
        return None
    match part:
        case {"type": "Prepend"}:
            return None
        case {"type": "Metaspace"}:
            return {**part, "prepend_scheme": "never", "add_prefix_space": False}
        case {"type": "ByteLevel", "add_prefix_space": True}:
            return {**part, "add_prefix_space": False}
        case {"type": "Sequence"}:
            key = "normalizers" if "normalizers" in part else "pretokenizers"
            kept = [inner for inner in map(_without_leading_space, part[key]) if inner]
            return {**part, key: kept} if kept else None
    return part


def _is_byte_level(description: dict[str, Any]) -> bool:
    return '"ByteLevel"' in json.dumps(description.get("decoder"))


def _byte_table(vocabulary: dict[str, int], control: dict[str, int], *, byte_level: bool) -> dict[int, bytes]:
    alphabet = _byte_level_alphabet()
    table: dict[int, bytes] = {}
    for token, token_id in vocabulary.items():
        if token in control:
            continue
        if byte_level:
            known = all(character in alphabet for character in token)
            table[token_id] = bytes(alphabet[c] for c in token) if known else token.encode()
        elif match := BYTE_TOKEN.match(token):
            table[token_id] = bytes([int(match.group(1), 16)])
        else:
            table[token_id] = token.replace(SENTENCEPIECE_SPACE, " ").encode()
    return table


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's reversible map from printable characters to bytes (Radford et al. 2019, ``bytes_to_unicode``)."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    alphabet = {chr(byte): byte for byte in printable}
    hidden = [byte for byte in range(256) if byte not in set(printable)]
    alphabet.update({chr(256 + offset): byte for offset, byte in enumerate(hidden)})
    return alphabet
