"""What a command is: its name, what it takes, what it does."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from townsfolk.errors import InvalidArgument

if TYPE_CHECKING:
    from townsfolk.daemon.console.call import Call
    from townsfolk.daemon.console.suggestions import Source

PREFIX = "npc."
SHOWN_CHARACTERS = 60  # of a word that is wrong


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be. ``read`` raises ``ValueError`` for what it may not; ``wanted`` completes "wants …"."""

    placeholder: str
    wanted: str
    read: Callable[[str], Any] = str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value told by its place. ``field`` is its name in the daemon's errors; ``rest`` takes all words that follow."""

    name: str
    help: str
    field: str = ""
    required: bool = True
    rest: bool = False
    source: Source | None = None

    @property
    def usage(self) -> str:
        """`<persona>`, `[turn]`, `["line"]`."""
        name = f'"{self.name}"' if self.rest else self.name
        return name if self.rest and self.required else f"<{name}>" if self.required else f"[{name}]"


@dataclass(frozen=True, slots=True)
class Option:
    """A value told by a name. Without a ``kind`` it takes no value."""

    name: str
    help: str
    kind: Kind | None = None
    field: str = ""
    repeatable: bool = False
    source: Source | None = None

    @property
    def usage(self) -> str:
        return f"--{self.name} {self.kind.placeholder}" if self.kind else f"--{self.name}"


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the vocabulary. Only the last parameter may be ``rest`` or optional."""

    name: str
    summary: str
    run: Callable[[Call], Awaitable[None]]
    parameters: tuple[Parameter, ...] = ()
    options: tuple[Option, ...] = ()
    example: str = ""

    @property
    def usage(self) -> str:
        """`npc.say <persona> "line" [--seed N] …`."""
        options = [f"[{option.usage}]" for option in self.options]
        return " ".join([self.name, *(parameter.usage for parameter in self.parameters), *options])

    def option(self, name: str) -> Option | None:
        """The option of that name, without its dashes."""
        return next((option for option in self.options if option.name == name), None)


@dataclass(slots=True)
class Arguments:
    """The words of a line, fitted to a command. Values by the names of parameters and options."""

    values: dict[str, Any] = field(default_factory=dict)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)  # by ``field``: where the value stands in the line

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A value, or ``default`` where the line has none."""
        return self.values.get(name, default)


def find(vocabulary: Mapping[str, Command], name: str) -> Command:
    """The command of that name. Raises ``InvalidArgument`` that names the one which comes closest."""
    if name in vocabulary:
        return vocabulary[name]
    short = {known.removeprefix(PREFIX): known for known in vocabulary}
    close = difflib.get_close_matches(name[:SHOWN_CHARACTERS].casefold().removeprefix(PREFIX), short, n=1)
    hint = f"did you mean {short[close[0]]}?" if close else "npc.help lists those there are"
    raise InvalidArgument(f"there is no command {shown(name)}; {hint}", field="command")


def shown(text: str) -> str:
    """A word of the user's in an error."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")
