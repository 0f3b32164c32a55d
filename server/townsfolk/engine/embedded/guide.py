"""What a line that must be JSON may say next, and what that does to the logits of a step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from townsfolk.errors import InvalidArgument, TownsfolkError

if TYPE_CHECKING:
    from llguidance import LLMatcher

TokenBits = npt.NDArray[np.uint8]  # one bit a token, lowest first
BITS = tuple(1 << bit for bit in range(8))


class Guide:
    """One line's way through its grammar.

    Args:
        matcher: at the beginning of the grammar, for this line alone.
        end_of_text: the token by which the matcher says that the JSON may end.
        ends: tokens that end the line where the JSON may end, and nowhere else.
    """

    def __init__(self, matcher: LLMatcher, end_of_text: int, ends: Collection[int]) -> None:
        self._matcher = matcher
        self._end_of_text = end_of_text
        self._ends = frozenset(ends)
        self._may_end = self._stuck = False

    @property
    def complete(self) -> bool:
        """Whether the JSON is whole and nothing can follow it."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    @property
    def error(self) -> TownsfolkError | None:
        """Why the line cannot go on, if it cannot."""
        if self._matcher.is_error():
            return refused(self._matcher.get_error())
        if self._stuck:
            return refused("no token of the model says what it asks for")
        return None

    def write_allowed(self, allowed: TokenBits) -> None:
        """Fill ``allowed`` with the tokens that may come next; it is of no use where there is an ``error``."""
        self._matcher.unsafe_compute_mask_ptr(allowed.ctypes.data, allowed.nbytes)
        if self._matcher.is_error():
            self._may_end = False
            return
        self._may_end = bool(allowed[self._end_of_text >> 3] & BITS[self._end_of_text & 7])
        if self._may_end:
            for token in self._ends:
                allowed[token >> 3] |= BITS[token & 7]
        self._stuck = not allowed.any()

    def ends_with(self, token: int) -> bool:
        """Whether the token that was drawn ends the line, so that it is none of its JSON."""
        return self._may_end and token in self._ends

    def consume(self, token: int) -> TownsfolkError | None:
        """Take the token that was drawn into the JSON. Returns the ``error``, if there is one now."""
        if self.error is None:
            self._matcher.consume_token(token)
        return self.error


def refused(reason: str) -> InvalidArgument:
    """The error of a schema that cannot be followed; of a ``reason`` in many lines the first one is told."""
    lines = [line.strip() for line in reason.replace("<non-verbose/>", "").splitlines() if line.strip()]
    return InvalidArgument(f"the JSON schema cannot be followed: {lines[0] if lines else reason}", field="json_schema")


def mask_logits(logits: torch.Tensor, rows: Sequence[int], guides: Sequence[Guide]) -> None:
    """Set to minus infinity, in ``logits`` fp32 ``[S, vocab]``, what the guide of each of ``rows`` does not allow.

    A row whose guide has an ``error`` stays as it is: its token will not be used.
    """
    vocab_size = logits.shape[1]
    words = (vocab_size + 31) // 32  # llguidance writes whole 32-bit words
    allowed = np.zeros((len(rows), 4 * words), dtype=np.uint8)
    for index, guide in enumerate(guides):
        guide.write_allowed(allowed[index])
    usable = [index for index, guide in enumerate(guides) if guide.error is None]
    if not usable:
        return
    forbidden = np.unpackbits(allowed, axis=1, count=vocab_size, bitorder="little") == 0
    on_device = torch.from_numpy(forbidden).to(logits.device, non_blocking=True)
    for index in usable:  # in place: gathering the rows and scattering them again takes longer
        logits[rows[index]].masked_fill_(on_device[index], float("-inf"))
