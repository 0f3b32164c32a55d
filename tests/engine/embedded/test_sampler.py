"""Drawing a token, against the logits processors of transformers, which we did not write."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from townsfolk.engine.embedded import sampler
from townsfolk.engine.embedded.sampler import CANDIDATES, SamplingBatch, sample, uniform
from townsfolk.engine.messages import SamplingParams

CPU = torch.device("cpu")
VOCABULARY = 1000
LIKELIHOOD_OF_A_FALSE_ALARM = 1e-4  # of each chi-square test; the seeds are fixed, so it passes always or never
GRID = [
    SamplingParams(temperature=t, top_k=k, top_p=p, min_p=m, repetition_penalty=r)
    for t, k, p, m, r in itertools.product(
        (0.4, 1.0, 2.5), (0, 1, 40, 256, 300, 5000), (1.0, 0.9, 0.3, 0.0), (0.0, 0.02, 0.5), (1.0, 1.3)
    )
]


def make_logits(rows: int, seed: int, spread: float = 3.0, vocabulary: int = VOCABULARY) -> torch.Tensor:
    """Normally distributed and all different in a row: what happens to ties is not promised."""
    generator = torch.Generator().manual_seed(seed)
    quantiles = torch.special.ndtri((torch.arange(vocabulary, dtype=torch.float64) + 0.5) / vocabulary).float()
    order = torch.rand(rows, vocabulary, generator=generator).argsort(dim=-1)
    return quantiles[order] * spread * (0.8 + 0.4 * torch.rand(rows, 1, generator=generator))


def reference(logits: torch.Tensor, params: SamplingParams, seen: list[int]) -> torch.Tensor:
    """Probabilities ``[vocab]`` of one row, by transformers, in the order in which ``generate`` applies them."""
    processors = LogitsProcessorList()
    if params.repetition_penalty != 1.0:
        processors.append(RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
    processors.append(TemperatureLogitsWarper(params.temperature))
    if params.top_k:
        processors.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        processors.append(TopPLogitsWarper(params.top_p))
    if params.min_p:
        processors.append(MinPLogitsWarper(params.min_p))
    return processors(torch.tensor([seen]), logits[None].clone())[0].softmax(dim=-1)


def probabilities(
    logits: torch.Tensor, params: list[SamplingParams], seen: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> torch.Tensor:
    """Probabilities ``[S, vocab]`` that ``sample`` draws from, taken where it turns them into tokens."""
    rounds: list[torch.Tensor] = []

    def note_unfiltered(
        likely: torch.Tensor, ids: torch.Tensor, scaled: torch.Tensor, point: torch.Tensor
    ) -> torch.Tensor:
        rounds.append(scaled.double().softmax(dim=-1))
        return torch.full((len(ids),), len(rounds) - 1)

    def note(likelihoods: torch.Tensor, ids: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
        found = torch.zeros(len(ids), logits.shape[1], dtype=torch.float64).scatter_(1, ids, likelihoods.double())
        rounds.append(found)
        return torch.full((len(ids),), len(rounds) - 1)

    with monkeypatch.context() as patch:
        patch.setattr(sampler, "_invert", note)
        patch.setattr(sampler, "_draw_unfiltered", note_unfiltered)
        drawn = sample(logits, SamplingBatch.of(params, [0] * len(params), CPU), seen)
    found = rounds[0]
    for number, again in enumerate(rounds[1:], start=1):  # of rows that needed the whole vocabulary
        found[drawn == number] = again
    return found / found.sum(dim=-1, keepdim=True)


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_surviving_tokens_and_their_probabilities_equal_transformers_for_every_row_of_a_mixed_batch(
    spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = random.Random(0).sample(GRID, len(GRID))
    logits = make_logits(len(order), seed=1, spread=spread)
    seen_ids = [random.Random(i).sample(range(VOCABULARY), 50) for i in range(len(order))]
    seen = torch.zeros(logits.shape, dtype=torch.bool)
    for row, ids in zip(seen, seen_ids, strict=True):
        row[ids] = True
    ours = probabilities(logits, order, seen, monkeypatch)
    for i, params in enumerate(order):
        theirs = reference(logits[i], params, seen_ids[i])
        assert torch.equal(ours[i] > 0, theirs > 0), params
        torch.testing.assert_close(ours[i], theirs.double(), rtol=1e-4, atol=1e-9, msg=lambda m, p=params: f"{p}: {m}")


def test_a_nucleus_within_a_wide_top_k_is_measured_against_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    params = SamplingParams(temperature=1.0, top_k=CANDIDATES + 200, top_p=0.5, min_p=0.3)
    logits = make_logits(1, seed=5, spread=0.5)
    ours = probabilities(logits, [params], torch.zeros(logits.shape, dtype=torch.bool), monkeypatch)
    assert torch.equal(ours[0] > 0, reference(logits[0], params, []) > 0)


def test_the_penalty_of_repetition_is_that_of_transformers_to_the_bit() -> None:
    logits = make_logits(4, seed=2)
    penalty = torch.tensor([1.0, 1.3, 0.7, 2.0])
    seen_ids = [random.Random(i).sample(range(VOCABULARY), 100) for i in range(4)]
    seen = torch.zeros(logits.shape, dtype=torch.bool)
    for row, ids in zip(seen, seen_ids, strict=True):
        row[ids] = True
    ours = sampler.penalise_repetition(logits, penalty, seen)
    for i in range(4):
        processor = RepetitionPenaltyLogitsProcessor(float(penalty[i]))
        assert torch.equal(ours[i], processor(torch.tensor([seen_ids[i]]), logits[i][None].clone())[0])


def draw_many(logits: torch.Tensor, params: SamplingParams, count: int, *, one_seed: bool) -> torch.Tensor:
    """How often each token came in ``count`` draws from one row of logits."""
    seeds = [7] * count if one_seed else range(count)
    rows = [SamplingParams(params.temperature, params.top_k, params.top_p, params.min_p, seed=seed) for seed in seeds]
    batch = SamplingBatch.of(rows, list(range(count)) if one_seed else [3] * count, CPU)
    tokens = sample(logits.expand(count, -1).contiguous(), batch, torch.zeros(count, 1, dtype=torch.bool))
    return torch.bincount(tokens, minlength=logits.numel())


def chi_square_likelihood(counts: torch.Tensor, expected: torch.Tensor) -> float:
    """How likely a deviation at least this large is by chance. Rare tokens are counted together."""
    rare = expected < 5
    counts, expected = counts.double(), expected.double()
    counts = torch.cat([counts[~rare], counts[rare].sum()[None]])
    expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
    if expected[-1] < 5:
        counts, expected = counts[:-1], expected[:-1]
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float(torch.special.gammaincc(torch.tensor((len(counts) - 1) / 2, dtype=torch.float64), statistic / 2))


@pytest.mark.parametrize("one_seed", [True, False], ids=["one line's draws", "first draws of many lines"])
@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=1.0),
        SamplingParams(temperature=0.7, top_k=40, top_p=0.95),
        SamplingParams(temperature=1.5, min_p=0.05),
    ],
    ids=["no filter", "top-k and top-p", "min-p"],
)
def test_many_draws_are_distributed_as_transformers_says(params: SamplingParams, one_seed: bool) -> None:
    logits = make_logits(1, seed=3, spread=2.0, vocabulary=300)
    count = 6000
    counts = draw_many(logits[0], params, count, one_seed=one_seed)
    expected = reference(logits[0], params, []) * count
    assert not counts[expected == 0].any()
    assert chi_square_likelihood(counts, expected) > LIKELIHOOD_OF_A_FALSE_ALARM


def test_the_chi_square_test_notices_a_wrong_temperature() -> None:
    logits = make_logits(1, seed=3, spread=2.0, vocabulary=300)
    counts = draw_many(logits[0], SamplingParams(temperature=1.1), 6000, one_seed=True)
    expected = reference(logits[0], SamplingParams(temperature=1.0), []) * 6000
    assert chi_square_likelihood(counts, expected) < 1e-6


@pytest.mark.parametrize("step", [1, 2, 1 << 32, (1 << 63) - 25], ids=["1", "2", "2**32", "large"])
def test_random_numbers_are_uniform_over_seeds_and_over_draws(step: int) -> None:
    count, bins = 20_000, 100
    numbers = torch.arange(count) * step
    for seeds, drawn in ((numbers, torch.zeros_like(numbers)), (torch.full_like(numbers, step), torch.arange(count))):
        points = uniform(seeds, drawn)
        assert points.dtype == torch.float64
        assert points.min() >= 0
        assert points.max() < 1
        counts = torch.bincount((points * bins).long(), minlength=bins)
        expected = torch.full((bins,), count / bins)
        assert chi_square_likelihood(counts, expected) > LIKELIHOOD_OF_A_FALSE_ALARM


def test_splitmix64_gives_its_published_numbers() -> None:
    """Zero hashes to zero, so the draws of seed 0 are splitmix64's of seed 0, whose first three its authors give."""
    published = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)
    points = uniform(torch.zeros(3, dtype=torch.int64), torch.arange(3))
    assert points.tolist() == [(value >> 11) / (1 << 53) for value in published]


def test_a_seed_gives_the_same_draw_at_every_place_and_in_every_company() -> None:
    logits = make_logits(6, seed=4)
    mine = SamplingParams(temperature=0.9, top_p=0.95, seed=1234)
    alone = sample(logits[:1], SamplingBatch.of([mine], [17], CPU), torch.zeros(1, VOCABULARY, dtype=torch.bool))
    others = [
        SamplingParams(temperature=0.0),
        SamplingParams(temperature=1.0, seed=1234),
        SamplingParams(temperature=2.0, seed=5, repetition_penalty=1.5),
        SamplingParams(temperature=1.0, top_k=3, seed=6),
        SamplingParams(temperature=1.0, min_p=0.3, seed=-1),
    ]
    for place in range(6):
        params = [*others[:place], mine, *others[place:]]
        rows = torch.cat([logits[1 : place + 1], logits[:1], logits[place + 1 :]])
        seen = torch.rand(rows.shape, generator=torch.Generator().manual_seed(place)) < 0.2
        drawn = sample(
            rows, SamplingBatch.of(params, [3, 17, 17, 9, 1, 0][:place] + [17] + [5] * (5 - place), CPU), seen
        )
        assert drawn[place] == alone[0]


def test_no_seed_is_another_one_a_few_draws_later() -> None:
    draws = torch.arange(100)
    plain = uniform(torch.zeros(100, dtype=torch.int64), draws)
    for steps in (1, 2, 50):
        ahead = (steps * sampler.GOLDEN_GAMMA) % (1 << 64)
        seeds = torch.full((100,), ahead - (1 << 64) if ahead >= 1 << 63 else ahead)
        assert not set(uniform(seeds, draws).tolist()) & set(plain.tolist())


def test_different_seeds_and_different_draws_of_one_seed_differ() -> None:
    logits = make_logits(1, seed=4, spread=0.1).expand(50, -1).contiguous()
    seen = torch.zeros(50, 1, dtype=torch.bool)
    by_seed = SamplingBatch.of([SamplingParams(temperature=1.0, seed=i) for i in range(50)], [0] * 50, CPU)
    by_draw = SamplingBatch.of([SamplingParams(temperature=1.0, seed=9)] * 50, list(range(50)), CPU)
    assert len(set(sample(logits, by_seed, seen).tolist())) > 40
    assert len(set(sample(logits, by_draw, seen).tolist())) > 40


@pytest.mark.parametrize("seed", [0, 1, -1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64])
def test_any_integer_is_a_seed(seed: int) -> None:
    logits = make_logits(1, seed=4)
    batch = SamplingBatch.of([SamplingParams(temperature=1.0, seed=seed)], [0], CPU)
    assert 0 <= int(sample(logits, batch, torch.zeros(1, VOCABULARY, dtype=torch.bool))) < VOCABULARY


def test_greedy_rows_take_the_likeliest_token_among_random_ones_and_alone() -> None:
    logits = make_logits(4, seed=8)
    seen = torch.zeros(logits.shape, dtype=torch.bool)
    greedy = SamplingParams(temperature=0.0, top_p=0.1, min_p=0.9, top_k=7, seed=3)
    free = SamplingParams(temperature=5.0, seed=3)
    likeliest = logits.argmax(dim=-1)
    assert torch.equal(sample(logits, SamplingBatch.of([greedy] * 4, [0] * 4, CPU), seen), likeliest)
    for drawn in range(20):
        tokens = sample(logits, SamplingBatch.of([free, greedy, free, greedy], [drawn] * 4, CPU), seen)
        assert tokens[1] == likeliest[1]
        assert tokens[3] == likeliest[3]


def test_a_greedy_row_heeds_the_penalty_of_repetition() -> None:
    logits = torch.tensor([[3.0, 2.9, -1.0], [-1.0, -0.9, -5.0]])
    seen = torch.tensor([[True, False, False], [False, True, False]])
    params = [SamplingParams(temperature=0.0, repetition_penalty=1.2)] * 2
    assert sample(logits, SamplingBatch.of(params, [0, 0], CPU), seen).tolist() == [1, 0]


def test_rows_that_need_the_whole_vocabulary_reach_all_of_it_beside_rows_that_do_not() -> None:
    count = 4000
    flat = torch.zeros(count, 2000)
    flat += 1e-3 * torch.rand(2000, generator=torch.Generator().manual_seed(0))
    params = [
        SamplingParams(temperature=1.0, seed=i) if i % 2 else SamplingParams(temperature=1.0, top_k=4, seed=i)
        for i in range(count)
    ]
    tokens = sample(flat, SamplingBatch.of(params, [0] * count, CPU), torch.zeros(count, 1, dtype=torch.bool))
    top = set(flat[0].topk(4).indices.tolist())
    assert set(tokens[::2].tolist()) == top
    open_counts = torch.bincount(tokens[1::2], minlength=2000)
    assert (open_counts > 0).sum() > 1000, "far beyond the candidates"
    assert chi_square_likelihood(open_counts.view(50, 40).sum(1), torch.full((50,), count / 100)) > 1e-4


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_points_all_over_an_unfiltered_row_hit_each_token_as_often_as_it_is_likely(spread: float) -> None:
    points = 200_000
    logits = make_logits(1, seed=2, spread=spread)
    expected = logits[0].double().softmax(dim=-1)
    likely, ids = logits.softmax(dim=-1).topk(CANDIDATES)
    point = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    drawn = torch.cat(
        [
            sampler._draw_unfiltered(*(x.expand(len(some), -1) for x in (likely, ids, logits)), some)
            for some in point.split(10_000)
        ]
    )
    hits = torch.bincount(drawn, minlength=VOCABULARY)
    assert (hits - points * expected).abs().max() <= 1.01, "a token is a span of points"
    assert set(ids[0].tolist()) == set(drawn[: round(points * float(likely.sum()) - 1)].tolist())


def test_many_candidates_give_what_the_whole_sorted_vocabulary_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary, rows = 3 * sampler.MANY_CANDIDATES, 60
    logits = make_logits(rows, seed=3, spread=1.0, vocabulary=vocabulary)
    params = [
        SamplingParams(temperature=(0.3, 0.6, 1.0, 3.0)[i % 4], top_p=(0.5, 0.9, 0.999)[i % 3], seed=i)
        for i in range(rows)
    ]
    counts: list[int] = []
    likeliest = sampler._likeliest

    def noting(scaled: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        counts.append(count)
        return likeliest(scaled, count)

    monkeypatch.setattr(sampler, "_likeliest", noting)
    batch = SamplingBatch.of(params, [0] * rows, CPU)
    seen = torch.zeros(logits.shape, dtype=torch.bool)
    drawn = sample(logits.clone(), batch, seen)
    assert counts == [CANDIDATES, sampler.MANY_CANDIDATES, vocabulary]
    monkeypatch.setattr(sampler, "MANY_CANDIDATES", vocabulary + 1)
    assert torch.equal(drawn, sample(logits.clone(), batch, seen))


def test_a_row_of_few_possible_tokens_draws_from_these_without_a_look_at_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logits = torch.full((1, 4 * CANDIDATES), -torch.inf)
    logits[0, [7, 300, 900]] = torch.tensor([1.0, 0.5, 0.0])
    params = SamplingParams(temperature=1.0)
    monkeypatch.setattr(sampler, "_draw_unfiltered", lambda *_: pytest.fail("the vocabulary was looked at"))
    drawn = {
        int(sample(logits.clone(), SamplingBatch.of([params], [step], torch.device("cpu")), [torch.zeros(1)]))
        for step in range(200)
    }
    assert drawn == {7, 300, 900}
