"""Settings that can be changed while the daemon runs. They keep their names and ranges from the config file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError

from townsfolk.config import DaemonSettings
from townsfolk.errors import InvalidArgument

BOUNDS = {Ge: ("ge", "at least"), Gt: ("gt", "above"), Le: ("le", "at most"), Lt: ("lt", "below")}


@dataclass(frozen=True, slots=True)
class LiveSetting:
    """A number of ``[daemon]`` that lives in an attribute of whoever obeys it."""

    key: str
    owner: Any
    attribute: str

    @property
    def name(self) -> str:
        """As in the config file: `daemon.max_sessions`."""
        return f"daemon.{self.key}"

    @property
    def help(self) -> str:
        return self._field.description or ""

    @property
    def value(self) -> str:
        """What counts now."""
        return in_digits(getattr(self.owner, self.attribute))

    @property
    def default(self) -> str:
        """What counts where the config file says nothing."""
        return in_digits(self._field.default)

    @property
    def range(self) -> str:
        """`whole number, at least 1, at most 100000`."""
        kind = "whole number" if self._field.annotation is int else "number"
        bounds = [f"{word} {in_digits(getattr(m, of))}" for m in self._field.metadata for of, word in [BOUNDS[type(m)]]]
        return ", ".join([kind, *bounds])

    def change(self, text: str) -> None:
        """Set it from now on. Raises ``InvalidArgument`` for what the config file may not say either."""
        try:
            value = getattr(DaemonSettings.model_validate({self.key: text}), self.key)
        except ValidationError:
            value = math.nan
        if not math.isfinite(value):
            raise InvalidArgument(f"{self.name} is a {self.range}, not {text[:60]!r}", field="value")
        setattr(self.owner, self.attribute, value)

    @property
    def _field(self) -> Any:
        return DaemonSettings.model_fields[self.key]


def in_digits(number: float) -> str:
    """`500`, `0.25`: as one writes it into the config file."""
    return str(int(number)) if number == int(number) else f"{number:g}"
