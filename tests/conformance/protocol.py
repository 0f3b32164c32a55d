"""What the driver and a client's runner say to each other, a line at a time: a name, then fields, tabs between them.

A field is ``key=value``; a key may come several times for a list. In values, backslash, tab, line feed and carriage
return are written as a backslash and one of ``\\ t n r``. All is UTF-8. So no runner needs a parser worth the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}

Value = str | list[str]


def encode_line(name: str, fields: Mapping[str, object]) -> str:
    """A message without its line feed. Lists become repeated keys, booleans 1 and 0; what is ``None`` is left out."""
    parts = [name]
    for key, value in fields.items():
        parts += [f"{key}={_escaped(text)}" for text in texts_of(value)]
    return "\t".join(parts)


def decode_line(line: str) -> tuple[str, dict[str, Value]]:
    """The name and the fields of a message."""
    name, *parts = line.split("\t")
    fields: dict[str, Value] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is no field")
        text = _unescaped(value)
        known = fields.get(key)
        if known is None:
            fields[key] = text
        else:
            fields[key] = [*known, text] if isinstance(known, list) else [known, text]
    return name, fields


def texts_of(value: object) -> list[str]:
    """A value as it is written: one text for each element of a list, else one."""
    if value is None:
        return []
    if isinstance(value, bool):
        return [str(int(value))]
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [text for element in value for text in texts_of(element)]
    return [str(value)]


def _escaped(text: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in text)


def _unescaped(text: str) -> str:
    return "\\".join(_simple(part) for part in text.split("\\\\"))  # between doubled backslashes each stands for one


def _simple(text: str) -> str:
    for letter, meaning in (("t", "\t"), ("n", "\n"), ("r", "\r")):
        text = text.replace(f"\\{letter}", meaning)
    return text
