"""How likely the sampled tokens of a step were, for the rows that want to know.

Probabilities are those of the model's own distribution, the softmax of its logits, before repetition penalty,
temperature and filters. A step in which no row wants them pays nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from townsfolk.engine.messages import TokenLikelihood


class StepLikelihoods:
    """Log-probabilities of some rows of a step, taken before sampling, which changes logits in place.

    Args:
        logits: fp32 ``[S, vocab]``.
        rows: W of the S rows.
        counts: how many candidates each of them wants, at least 1.
    """

    def __init__(self, logits: torch.Tensor, rows: list[int], counts: list[int]) -> None:
        self._rows, self._counts = rows, counts
        self._index = torch.tensor(rows, dtype=torch.int64, device=logits.device)
        self._log_probabilities = logits[self._index].log_softmax(dim=-1)

    @classmethod
    def of(cls, logits: torch.Tensor, top_tokens: Sequence[int]) -> StepLikelihoods | None:
        """Those of the rows whose ``top_tokens`` (S of them) is above 0; ``None`` where there is no such row."""
        rows = [row for row, count in enumerate(top_tokens) if count]
        return cls(logits, rows, [top_tokens[row] for row in rows]) if rows else None

    def of_sampled(self, tokens: torch.Tensor) -> dict[int, TokenLikelihood]:
        """Likelihoods of the sampled tokens (int64 ``[S]``), by row."""
        sampled = tokens[self._index]
        own = self._log_probabilities.gather(1, sampled[:, None]).squeeze(1)
        likeliest = self._log_probabilities.topk(min(max(self._counts), self._log_probabilities.shape[1]), dim=-1)
        columns = (sampled.tolist(), own.tolist(), likeliest.indices.tolist(), likeliest.values.tolist())
        return {
            row: TokenLikelihood(token, value, ids[:count], values[:count])
            for row, count, token, value, ids, values in zip(self._rows, self._counts, *columns, strict=True)
        }
