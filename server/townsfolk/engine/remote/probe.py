"""A short line that shows whether a server does what it says: the same tokenizer, and adapters that really act.

Servers have been known to answer with the base model where they should have applied an adapter, or with weights that
they had cached under an adapter's name.
"""

from __future__ import annotations

from dataclasses import dataclass

from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine.messages import SamplingParams
from townsfolk.engine.remote.dialects.base import Chunk
from townsfolk.errors import FailedPrecondition

PROBE_TEXT = "The stranger at the gate asked me who I was and what I wanted. I looked up and said:"
PROBE_SAMPLING = SamplingParams(temperature=0.0, max_tokens=12)
# Of the natural logarithm of a token's probability. The same line again differs by rounding, when it shares its steps
# with others; an adapter that was trained on anything moves some token by more.
NOISE = 0.05


@dataclass(slots=True)
class ProbeLine:
    """What came of the probe: greedy tokens, their text as the server writes it, how likely each was."""

    ids: list[int]
    text: str
    log_probabilities: list[float]

    @classmethod
    def of(cls, chunks: list[Chunk]) -> ProbeLine:
        line = cls([], "", [])
        for chunk in chunks:
            line.ids += chunk.token_ids
            line.text += chunk.text
            line.log_probabilities += chunk.log_probabilities
        return line

    def like(self, other: ProbeLine) -> bool:
        """Whether the two cannot be told apart: same tokens, equally likely."""
        if self.ids != other.ids or self.text != other.text:
            return False
        pairs = zip(self.log_probabilities, other.log_probabilities, strict=False)
        return all(abs(mine - theirs) <= NOISE for mine, theirs in pairs)


def check_tokenizer(url: str, line: ProbeLine, tokenizer: TextTokenizer) -> None:
    """Raise ``FailedPrecondition`` for a server that reads its tokens otherwise than the daemon does."""
    if not line.ids and not line.text:
        raise FailedPrecondition(f"{url} made no token of a plain line; look at its log", field="engine.remote")
    if any(token >= tokenizer.vocab_size for token in line.ids) or (
        line.ids and line.text and tokenizer.decode(line.ids).strip() != line.text.strip()
    ):
        raise FailedPrecondition(
            f"{url} serves a model with another tokenizer than engine.model has; point both to the same model",
            field="engine.model",
        )


def check_adapter(url: str, name: str, line: ProbeLine, base: ProbeLine) -> None:
    """Raise ``FailedPrecondition`` where the line with an adapter is the one without."""
    if line.like(base):
        raise FailedPrecondition(
            f"{url} speaks with {name} as it does without: either the server ignores it, or the adapter changes "
            "nothing (engine.remote.verify_adapters = false leaves this check out)",
            field="adapter",
        )
