"""Variants of a run measured in turn, so that a machine that grows slower or faster does so for all of them."""

from __future__ import annotations

from collections.abc import Callable

from townsfolk.bench.drive import BatchTime

WARM_UP_TOKENS = 4  # for each line of the untimed run before

Variants = dict[str, Callable[[int], BatchTime]]  # what to time, given how many tokens each line gets


def alternate(variants: Variants, rounds: int, tokens: int) -> dict[str, list[float]]:
    """Tokens a second of every variant in every round.

    Each variant runs once untimed. In each round another one begins, so that none always follows the same one.
    """
    names = list(variants)
    speeds: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        variants[name](min(tokens, WARM_UP_TOKENS))
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            speeds[name].append(variants[name](tokens).tokens_per_s)
    return speeds
