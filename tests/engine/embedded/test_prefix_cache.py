"""The prefix cache against a plain dictionary of what was stored, and its promises one by one."""

from __future__ import annotations

import random

import pytest
import torch

from townsfolk.engine.embedded.kv_cache import KvCache
from townsfolk.engine.embedded.prefix_cache import PrefixCache, TreeKey
from townsfolk.engine.embedded.spec import ModelSpec

SPEC = ModelSpec(
    name="tiny",
    family="llama",
    vocab_size=64,
    hidden_size=16,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=4,
    ffn_size=32,
    norm_eps=1e-5,
    max_context=64,
    tied_embeddings=True,
)
CPU = torch.device("cpu")
ELF: TreeKey = ("elf", 1.0)
GUARD: TreeKey = ("guard", 1.0)
BASE: TreeKey = ("", 1.0)


def make_cache(capacity: int) -> PrefixCache:
    return PrefixCache(SPEC, capacity, torch.float32, CPU)


def kv_of(key: TreeKey, tokens: list[int]) -> KvCache:
    """One KV row, as a model would fill it: what stands at a position depends on all tokens up to it."""
    kv = KvCache(SPEC, 1, SPEC.max_context, torch.float32, CPU)
    for position in range(len(tokens)):
        kv.keys[:, 0, :, position] = entry_of(key, tokens[: position + 1])[:, 0]
        kv.values[:, 0, :, position] = entry_of(key, tokens[: position + 1])[:, 1]
    return kv


def entry_of(key: TreeKey, prefix: list[int]) -> torch.Tensor:
    """``[layers, 2, kv_heads, head_dim]``, different for every key and prefix."""
    draw = random.Random(repr((key, prefix)))
    count = SPEC.num_layers * 2 * SPEC.num_kv_heads * SPEC.head_dim
    values = torch.tensor([draw.random() for _ in range(count)])
    return values.view(SPEC.num_layers, 2, SPEC.num_kv_heads, SPEC.head_dim)


def store(cache: PrefixCache, key: TreeKey, tokens: list[int]) -> int:
    count = cache.insert(key, tokens, kv_of(key, tokens), 0)
    cache.check_integrity()
    return count


def check_match(cache: PrefixCache, key: TreeKey, tokens: list[int]) -> int:
    """How many tokens are known; what is stored for them must be what those very tokens were computed to."""
    entries = cache.match(key, tokens)
    for position, stored in enumerate(cache.read(entries)):
        assert torch.equal(stored, entry_of(key, tokens[: position + 1])), (key, tokens[: position + 1])
    return len(entries)


def test_what_was_stored_is_read_back_bit_by_bit_into_another_row() -> None:
    cache = make_cache(16)
    tokens = [3, 1, 4, 1, 5, 9, 2, 6]
    source = kv_of(ELF, tokens)
    assert cache.insert(ELF, tokens, source, 0) == 8
    target = KvCache(SPEC, 3, SPEC.max_context, torch.float32, CPU)
    target.load(2, cache.read(cache.match(ELF, tokens)))
    assert torch.equal(target.read(2, 0, 8), source.read(0, 0, 8))
    assert torch.equal(target.keys[:, 2, :, :8], source.keys[:, 0, :, :8])
    assert torch.equal(target.values[:, 2, :, :8], source.values[:, 0, :, :8])
    assert not target.keys[:, :2].any()


def test_the_longest_known_prefix_is_found_and_nothing_more() -> None:
    cache = make_cache(64)
    store(cache, ELF, [1, 2, 3, 4, 5])
    assert check_match(cache, ELF, [1, 2, 3, 4, 5]) == 5
    assert check_match(cache, ELF, [1, 2, 3, 4, 5, 6, 7]) == 5
    assert check_match(cache, ELF, [1, 2, 3]) == 3
    assert check_match(cache, ELF, [1, 2, 9, 4, 5]) == 2
    assert check_match(cache, ELF, [2, 3, 4, 5]) == 0
    assert check_match(cache, ELF, []) == 0


def test_texts_that_part_share_what_they_have_in_common() -> None:
    cache = make_cache(64)
    assert store(cache, ELF, [1, 2, 3, 4, 5]) == 5
    assert store(cache, ELF, [1, 2, 3, 7, 8]) == 2
    assert store(cache, ELF, [1, 2, 3]) == 0
    assert store(cache, ELF, [1, 9]) == 1
    assert cache.used == 8
    for tokens in ([1, 2, 3, 4, 5], [1, 2, 3, 7, 8], [1, 9]):
        assert check_match(cache, ELF, tokens) == len(tokens)


def test_a_text_that_parts_late_in_a_long_node_is_not_hung_under_that_nodes_continuation() -> None:
    cache = make_cache(64)
    store(cache, ELF, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    store(cache, ELF, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 50, 51])
    store(cache, ELF, [1, 2, 3, 4, 5, 6, 7, 50, 51, 52])  # 50 also follows the rest of the node that is cut
    assert check_match(cache, ELF, [1, 2, 3, 4, 5, 6, 7, 50, 51, 52]) == 10
    assert check_match(cache, ELF, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 50, 51, 52]) == 12


@pytest.mark.parametrize("other", [GUARD, BASE, ("elf", 0.5)], ids=["adapter", "base model", "scale"])
def test_text_read_under_another_adapter_or_scale_is_never_met(other: TreeKey) -> None:
    cache = make_cache(64)
    tokens = [1, 2, 3, 4]
    store(cache, ELF, tokens)
    assert cache.match(other, tokens) == []
    assert store(cache, other, tokens) == 4
    assert check_match(cache, ELF, tokens) == 4
    assert check_match(cache, other, tokens) == 4


def test_the_least_recently_used_end_makes_room_first() -> None:
    cache = make_cache(12)
    store(cache, ELF, [1, 2, 3, 4])
    store(cache, GUARD, [1, 2, 3, 4])
    store(cache, BASE, [1, 2, 3, 4])
    assert check_match(cache, ELF, [1, 2, 3, 4]) == 4  # used again: the guard's is now the oldest
    assert store(cache, BASE, [9, 8, 7]) == 3
    assert check_match(cache, GUARD, [1, 2, 3, 4]) == 1  # the end went, the beginning stays
    assert check_match(cache, ELF, [1, 2, 3, 4]) == 4
    assert check_match(cache, BASE, [1, 2, 3, 4]) == 4
    assert cache.used == 12


def test_a_text_longer_than_the_cache_is_remembered_as_far_as_it_fits() -> None:
    cache = make_cache(4)
    assert store(cache, ELF, [1, 2, 3, 4, 5, 6]) == 4
    assert check_match(cache, ELF, [1, 2, 3, 4, 5, 6]) == 4
    assert store(cache, ELF, [1, 2, 3, 4, 5, 6]) == 0  # its own beginning is never thrown out for its end


def test_a_text_that_takes_all_of_its_adapters_room_replaces_the_old_one() -> None:
    cache = make_cache(3)
    store(cache, ELF, [1, 2, 3])
    assert store(cache, ELF, [9, 8, 7]) == 3
    assert check_match(cache, ELF, [9, 8, 7]) == 3
    assert check_match(cache, ELF, [1, 2, 3]) == 0


def test_a_forgotten_adapter_leaves_no_entry_at_any_scale() -> None:
    cache = make_cache(64)
    store(cache, ELF, [1, 2, 3])
    store(cache, ELF, [1, 7, 8])
    store(cache, ("elf", 0.5), [1, 2, 3])
    store(cache, GUARD, [1, 2, 3])
    cache.forget("elf")
    cache.check_integrity()
    assert cache.used == 3
    assert cache.match(ELF, [1, 2, 3]) == []
    assert cache.match(("elf", 0.5), [1, 2, 3]) == []
    assert check_match(cache, GUARD, [1, 2, 3]) == 3
    cache.forget("nobody")


def test_a_cache_of_capacity_zero_remembers_nothing_and_complains_of_nothing() -> None:
    cache = make_cache(0)
    assert store(cache, ELF, [1, 2, 3]) == 0
    assert cache.match(ELF, [1, 2, 3]) == []
    cache.forget("elf")
    cache.check_integrity()


@pytest.mark.parametrize("capacity", [5, 24, 1000])
@pytest.mark.parametrize("seed", range(6))
def test_random_use_never_returns_what_was_not_stored_and_loses_no_entry(seed: int, capacity: int) -> None:
    draw = random.Random(seed)
    cache = make_cache(capacity)
    keys = [ELF, GUARD, BASE, ("elf", 0.5)]
    stored: dict[TreeKey, set[tuple[int, ...]]] = {key: set() for key in keys}  # every prefix ever stored
    texts: list[list[int]] = []
    for _ in range(250):
        key = draw.choice(keys)
        start = draw.choice(texts)[: draw.randint(0, 12)] if texts else []
        tokens = start + [draw.randrange(3) for _ in range(draw.randint(1, 8))]
        texts.append(tokens)
        action = draw.random()
        if action < 0.05:
            cache.forget(key[0])
            for other in keys:
                if other[0] == key[0]:
                    stored[other].clear()
        elif action < 0.7:
            store(cache, key, tokens)
            stored[key].update(tuple(tokens[:n]) for n in range(1, len(tokens) + 1))
            if capacity >= len(tokens):
                assert check_match(cache, key, tokens) == len(tokens)
        length = check_match(cache, key, tokens)
        known = max((n for n in range(len(tokens) + 1) if n == 0 or tuple(tokens[:n]) in stored[key]), default=0)
        assert length <= known
        if capacity == 1000:  # never full: then nothing may be missing either
            assert length == known
        cache.check_integrity()
    for key in keys:
        cache.forget(key[0])
    assert cache.used == 0


def test_the_alarm_rings_for_a_lost_a_doubled_and_a_misplaced_entry() -> None:
    def fresh() -> PrefixCache:
        cache = make_cache(8)
        store(cache, ELF, [1, 2, 3])
        return cache

    lost = fresh()
    lost._free.pop()
    doubled = fresh()
    doubled._free[0] = doubled.match(ELF, [1])[0]
    misplaced = fresh()
    misplaced._roots[ELF].children[1].tokens.pop()
    for broken in (lost, doubled, misplaced):
        with pytest.raises(RuntimeError, match="prefix cache"):
            broken.check_integrity()
