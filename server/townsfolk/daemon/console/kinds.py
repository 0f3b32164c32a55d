"""The kinds of values that options take."""

from __future__ import annotations

import math

from townsfolk.daemon.console.command import Kind
from townsfolk.dialogue.request import MAX_SEED


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text[:32]) > MAX_SEED:
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def one_of(*words: str) -> Kind:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return Kind("|".join(words), f"one of {', '.join(words)}", read)


WHOLE = Kind("N", "a whole number from 0 to 2^64 - 1", _whole)
NUMBER = Kind("X", "a number", _number)
SECONDS = Kind("SECONDS", "a number of seconds", _number)
TEXT = Kind("TEXT", "some text")
PERSONA = Kind("PERSONA", "the id of a persona")
SESSION = Kind("SESSION", "the id of a session")
