"""A prompt of token ids as text, for servers that take nothing else, without giving players a way to control tokens.

In a prompt of ids a player's ``<|im_end|>`` is a handful of ordinary tokens. Written out as text it would be the
control token again, so it is broken up first; and what the server's tokenizer will make of the whole text is checked
here, with the same tokenizer: the control tokens in it must be those of the prompt, in their order, and no others.
"""

from __future__ import annotations

import re
from itertools import groupby

from tokenizers import Tokenizer

from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.errors import InvalidArgument

WORD_JOINER = "\u2060"  # invisible, and no part of any control token


class PromptWriter:
    """Writes prompts out for servers that have the tokenizer of ``tokenizer_json``."""

    def __init__(self, tokenizer_json: str, tokenizer: TextTokenizer, bos_id: int) -> None:
        self._server_tokenizer: Tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer = tokenizer
        self._bos_id = bos_id
        self._control = frozenset(tokenizer.control_ids.values())
        names = sorted(tokenizer.control_ids, key=len, reverse=True)
        self._any_name = re.compile("|".join(map(re.escape, names))) if names else None

    def write(self, ids: list[int]) -> str:
        """The text of a prompt. Raises ``InvalidArgument`` where a player's words would act as control tokens."""
        expected = [token for token in ids if token in self._control]
        candidates = [self._text(ids)]
        if ids and ids[0] == self._bos_id:
            candidates.insert(0, self._text(ids[1:]))  # most tokenizers put it there themselves
        for text in candidates:
            found = [t for t in self._server_tokenizer.encode(text).ids if t in self._control]
            if found == expected or found == [self._bos_id, *expected]:
                return text
        raise InvalidArgument("the text holds what this model's server would take for control tokens", field="text")

    def _text(self, ids: list[int]) -> str:
        parts = []
        for is_control, run in groupby(ids, key=self._control.__contains__):
            if is_control:
                parts += [self._tokenizer.piece(token).decode() for token in run]
            else:
                parts.append(self._broken_up(self._tokenizer.decode(list(run))))
        return "".join(parts)

    def _broken_up(self, text: str) -> str:
        if self._any_name is None:
            return text
        return self._any_name.sub(lambda name: name[0][0] + WORD_JOINER + name[0][1:], text)
