"""Which number stands for which adapter: given once, never for other weights."""

from __future__ import annotations

import itertools


class AdapterTable:
    """Numbers of the adapters that TensorRT-LLM has been told of, by digest.

    TensorRT-LLM knows an adapter by its number alone and keeps what it read under it, and it never lets go of one. So
    a number is given once in the life of this process, and no more than ``bound`` between two ``start_anew``.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._numbers: dict[str, int] = {}
        self._next = itertools.count(1)
        self._given = 0
        self.loads = 0

    @property
    def digests(self) -> list[str]:
        """Adapters that have a number, oldest first."""
        return list(self._numbers)

    @property
    def full(self) -> bool:
        """Whether the engine has to be built anew before another adapter gets a number."""
        return self._given >= self._bound

    def find(self, digest: str) -> int | None:
        return self._numbers.get(digest)

    def add(self, digest: str) -> int:
        """A number for an adapter that has none. Raises ``RuntimeError`` when the table is full."""
        if self.full or digest in self._numbers:
            raise RuntimeError(f"no new number for {digest[:12]}: {self._given} of {self._bound} are given")
        self._given += 1
        self.loads += 1
        number = self._numbers[digest] = next(self._next)
        return number

    def forget(self, digest: str) -> None:
        """Let the next line with these weights have a new number; the old one stays counted."""
        self._numbers.pop(digest, None)

    def start_anew(self) -> None:
        """The engine was built anew and knows no adapter. Numbers go on from where they were."""
        self._numbers.clear()
        self._given = 0
