"""Fits the words of a line to a command: by place, by name, or a ``BadLine`` that says what is wrong where."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from townsfolk.daemon.console.command import SHOWN_CHARACTERS, Arguments, Command, Option, shown
from townsfolk.daemon.console.words import BadLine, Word


def read_arguments(command: Command, words: Sequence[Word], line_length: int) -> Arguments:
    """The values in ``words``, which follow the command's name. Raises ``BadLine``.

    As getopt does: options may stand anywhere, as ``--name value`` or ``--name=value``; after ``--`` there are none.
    """
    arguments = Arguments()
    placed: list[Word] = []
    rest = iter(words)
    for word in rest:
        if word.text == "--":
            placed += rest
        elif word.text.startswith("--"):
            _read_option(command, word, rest, arguments)
        else:
            placed.append(word)
    _read_parameters(command, placed, line_length, arguments)
    return arguments


def _read_option(command: Command, word: Word, rest: Iterator[Word], arguments: Arguments) -> None:
    name, equals, value = word.text[2:].partition("=")
    span = (word.start, word.end)
    option = command.option(name)
    if option is None:
        raise BadLine(f"{command.name} has no option {shown('--' + name)}{_option_hint(command, name)}", span)
    if name in arguments.values and not option.repeatable:
        raise BadLine(f"--{name} is given twice", span)
    if option.kind is None:
        if equals:
            raise BadLine(f"--{name} takes no value", span)
        arguments.values[name] = True
        return
    if not equals:
        following = next(rest, None)
        if following is None:
            raise BadLine(f"--{name} wants {option.kind.wanted} after it", span)
        value, span = following.text, (following.start, following.end)
    _keep(option, value, span, arguments)


def _keep(option: Option, value: str, span: tuple[int, int], arguments: Arguments) -> None:
    assert option.kind is not None
    try:
        read = option.kind.read(value)
    except ValueError:
        raise BadLine(f"--{option.name} wants {option.kind.wanted}, not {shown(value)}", span) from None
    if option.repeatable:
        arguments.values[option.name] = (*arguments.values.get(option.name, ()), read)
    else:
        arguments.values[option.name] = read
    arguments.spans[option.field or option.name] = span


def _read_parameters(command: Command, words: list[Word], line_length: int, arguments: Arguments) -> None:
    left = list(words)
    for parameter in command.parameters:
        if not left:
            if parameter.required:
                raise BadLine(f"{command.name} wants <{parameter.name}>: {command.usage}", (line_length, line_length))
            continue
        taken = left if parameter.rest else left[:1]
        left = left[len(taken) :]
        arguments.values[parameter.name] = " ".join(word.text for word in taken)
        arguments.spans[parameter.field or parameter.name] = (taken[0].start, taken[-1].end)
    if left:
        raise BadLine(f"{shown(left[0].text)} is more than {command.name} takes: {command.usage}",
                      (left[0].start, left[-1].end))  # fmt: skip


def _option_hint(command: Command, name: str) -> str:
    known = [option.name for option in command.options]
    close = difflib.get_close_matches(name[:SHOWN_CHARACTERS], known, n=1)
    if close:
        return f"; did you mean --{close[0]}?"
    return f"; it has {', '.join(f'--{name}' for name in known)}" if known else "; it has none at all"
