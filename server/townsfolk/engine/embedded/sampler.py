"""Drawing the next token, for all rows of a step at once, each row with parameters and randomness of its own.

Filters follow transformers' order: repetition penalty, temperature, top-k, top-p, min-p. A row's random number is a
hash of its seed and of how many tokens it has drawn, so a line does not depend on who else is talking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from townsfolk.engine.messages import SamplingParams

CANDIDATES = 256  # the likeliest tokens hold nearly all of the mass
MANY_CANDIDATES = (
    4096  # for rows that need more; such as need even more are sorted in full, which takes six times as long
)
UNIFORM_BITS = 53  # a double's mantissa

# splitmix64 (Steele, Lea, Flood 2014), in two's complement because torch has no unsigned 64-bit arithmetic
GOLDEN_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)
MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
MIX_2 = 0x94D049BB133111EB - (1 << 64)


@dataclass(frozen=True, slots=True)
class SamplingBatch:
    """Sampling parameters of S rows, one tensor ``[S]`` each (fp32; ``top_k``, ``seed``, ``drawn`` int64)."""

    temperature: torch.Tensor
    top_k: torch.Tensor
    top_p: torch.Tensor
    min_p: torch.Tensor
    repetition_penalty: torch.Tensor
    seed: torch.Tensor
    drawn: torch.Tensor
    any_random: bool
    any_penalty: bool

    @classmethod
    def of(cls, params: list[SamplingParams], drawn: list[int], device: torch.device) -> SamplingBatch:
        """Pack the parameters of some rows; ``drawn`` counts the tokens that each has sampled so far."""

        def floats(values: list[float]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        def integers(values: list[int]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.int64, device=device)

        return cls(
            temperature=floats([p.temperature for p in params]),
            top_k=integers([p.top_k if p.temperature > 0 else 1 for p in params]),
            top_p=floats([p.top_p for p in params]),
            min_p=floats([p.min_p for p in params]),
            repetition_penalty=floats([p.repetition_penalty for p in params]),
            seed=integers([_signed(p.seed) for p in params]),
            drawn=integers(drawn),
            any_random=any(p.temperature > 0 for p in params),
            any_penalty=any(p.repetition_penalty != 1.0 for p in params),
        )


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is known of a step's logits, S rows.

    ``greedy`` ids ``[S]``; ``scaled`` fp32 ``[S, vocab]``: penalised logits over temperature; ``probabilities`` fp32
    and ``ids`` ``[S, CANDIDATES]``: the likeliest tokens of each row, likeliest first (undefined in greedy rows).
    """

    greedy: torch.Tensor
    scaled: torch.Tensor
    probabilities: torch.Tensor
    ids: torch.Tensor


FindCandidates = Callable[[torch.Tensor, SamplingBatch, Sequence[torch.Tensor]], Candidates]


def sample(
    logits: torch.Tensor,
    batch: SamplingBatch,
    seen: Sequence[torch.Tensor],
    find_candidates: FindCandidates | None = None,
) -> torch.Tensor:
    """Token ids ``[S]`` drawn from ``logits`` fp32 ``[S, vocab]``, which may be changed.

    ``seen``: S rows, each bool ``[vocab]``, marking the tokens that stand in the row's prompt or reply.
    """
    candidates = (find_candidates or torch_candidates)(logits, batch, seen)
    if not batch.any_random:
        return candidates.greedy
    point = uniform(batch.seed, batch.drawn)
    filters = (batch.top_k, batch.top_p, batch.min_p)
    likely, ids, scaled = candidates.probabilities, candidates.ids, candidates.scaled
    drawn = _invert(_filter(likely, *filters), ids, point)
    random = batch.temperature > 0
    cut_short = _cut_short(likely, *filters) & random
    if likely.shape[1] < logits.shape[1] and cut_short.any():
        unfiltered = (batch.top_k == 0) & (batch.top_p >= 1.0) & (batch.min_p <= 0.0)
        if (whole := _places(cut_short & unfiltered)).numel():
            drawn[whole] = _draw_unfiltered(likely[whole], ids[whole], scaled[whole], point[whole])
        wide = _places(cut_short & ~unfiltered)
        for count in (MANY_CANDIDATES, logits.shape[1]):
            if wide.numel() and count <= logits.shape[1]:
                likely, ids = _likeliest(scaled[wide], count)
                own_filters = [f[wide] for f in filters]
                drawn[wide] = _invert(_filter(likely, *own_filters), ids, point[wide])
                wide = wide[_cut_short(likely, *own_filters)]
    return torch.where(random, drawn, candidates.greedy)


def torch_candidates(logits: torch.Tensor, batch: SamplingBatch, seen: Sequence[torch.Tensor]) -> Candidates:
    """``FindCandidates`` on any device."""
    if batch.any_penalty:
        logits = penalise_repetition(logits, batch.repetition_penalty, torch.stack(list(seen)))
    greedy = logits.argmax(dim=-1)
    if not batch.any_random:
        return Candidates(greedy, logits, logits, greedy[:, None])
    scaled = logits / torch.where(batch.temperature > 0, batch.temperature, 1.0)[:, None]
    return Candidates(greedy, scaled, *_likeliest(scaled, min(CANDIDATES, logits.shape[1])))


def penalise_repetition(logits: torch.Tensor, penalty: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """CTRL's penalty (arXiv:1909.05858) as in transformers: seen tokens' positive logits shrink, negative ones grow."""
    penalised = torch.where(logits > 0, logits / penalty[:, None], logits * penalty[:, None])
    return torch.where(seen, penalised, logits)


def _likeliest(logits: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities and ids of each row's ``count`` likeliest tokens, likeliest first."""
    values, ids = logits.topk(count, dim=-1)
    return (values - logits.logsumexp(dim=-1, keepdim=True)).exp(), ids


def _filter(probabilities: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor, min_p: torch.Tensor) -> torch.Tensor:
    """``probabilities`` (falling along a row) with those of filtered tokens set to zero, and not renormalised.

    Nucleus sampling is that of Holtzman et al. 2019 (arXiv:1904.09751), min-p that of Nguyen et al. 2024
    (arXiv:2407.01082).
    """
    count = probabilities.shape[1]
    limit = torch.where(top_k > 0, top_k, count)
    kept = probabilities * (torch.arange(count, device=probabilities.device) < limit[:, None])
    total = torch.where(top_k > 0, kept.sum(dim=-1), 1.0)
    mass_before = (kept.cumsum(dim=-1) - kept) / total[:, None]
    outside_nucleus = (mass_before >= top_p[:, None]) & (top_p[:, None] < 1.0)
    outside_nucleus[:, 0] = False
    too_unlikely = kept < min_p[:, None] * kept[:, :1]
    return kept.masked_fill(outside_nucleus | too_unlikely, 0.0)


def _cut_short(likeliest: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor, min_p: torch.Tensor) -> torch.Tensor:
    """Bool ``[S]``: the rows whose filters would let more tokens through than the likeliest ones at hand."""
    by_count = (top_k > 0) & (top_k <= likeliest.shape[1])
    by_mass = (likeliest.sum(dim=-1) >= top_p) & (top_p < 1.0) & (top_k == 0)
    by_ratio = likeliest[:, -1] < min_p * likeliest[:, 0]
    by_ratio &= (top_k == 0) | (top_p >= 1.0)  # else the nucleus is measured against all that top-k kept
    exhausted = likeliest[:, -1] <= 0.0  # as in a guided line, of which few tokens may follow
    return ~(by_count | by_mass | by_ratio | exhausted)


def _places(rows: torch.Tensor) -> torch.Tensor:
    """Indices of the rows that are true."""
    return rows.nonzero().squeeze(1)


def _draw_unfiltered(
    likely: torch.Tensor, ids: torch.Tensor, scaled: torch.Tensor, point: torch.Tensor
) -> torch.Tensor:
    """The token at ``point`` of rows that any token may follow: the likeliest first, then all others by their ids.

    Only rows whose point lies beyond the likeliest tokens look at the whole vocabulary, and none sorts it.
    """
    mass = likely.sum(dim=-1, dtype=torch.float64).clamp(max=1.0)
    drawn = _invert(likely, ids, (point / mass).clamp(max=1.0))
    if (beyond := _places(point >= mass)).numel():
        rest = scaled[beyond].to(torch.float64).scatter(1, ids[beyond], float("-inf")).softmax(dim=-1)
        every_id = torch.arange(rest.shape[1], device=rest.device).expand_as(rest)
        drawn[beyond] = _invert(rest, every_id, (point[beyond] - mass[beyond]) / (1.0 - mass[beyond]))
    return drawn


def _invert(probabilities: torch.Tensor, ids: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """The token at ``point`` (in [0, 1)) of each row's cumulative distribution."""
    cumulative = probabilities.to(torch.float64).cumsum(dim=-1)
    choice = torch.searchsorted(cumulative, (point * cumulative[:, -1])[:, None], right=True)
    return ids.gather(1, choice.clamp(max=ids.shape[1] - 1)).squeeze(1)


def uniform(seed: torch.Tensor, counter: torch.Tensor) -> torch.Tensor:
    """One number in [0, 1) per row, float64, by splitmix64 from ``seed`` and ``counter`` (int64 ``[S]``)."""
    state = _mix(seed) + (counter + 1) * GOLDEN_GAMMA
    return _shift_right(_mix(state), 64 - UNIFORM_BITS).to(torch.float64) / (1 << UNIFORM_BITS)


def _mix(z: torch.Tensor) -> torch.Tensor:
    z = (z ^ _shift_right(z, 30)) * MIX_1
    z = (z ^ _shift_right(z, 27)) * MIX_2
    return z ^ _shift_right(z, 31)


def _shift_right(z: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical shift: torch's is arithmetic for signed integers."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _signed(seed: int) -> int:
    seed &= (1 << 64) - 1
    return seed - (1 << 64) if seed >= 1 << 63 else seed
