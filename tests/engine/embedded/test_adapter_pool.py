"""The two tiers of adapters in memory: columns on the device, whole adapters on the host."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from townsfolk.engine.embedded.adapter_pool import COLUMN_GRANULE, AdapterPool, HostAdapters, Slot
from townsfolk.engine.embedded.column_adapters import GROUPS, ColumnAdapters
from townsfolk.engine.embedded.peft_adapter import PROJECTIONS, AdapterWeights, LoraPair
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
    ffn_size=24,
    norm_eps=1e-5,
    max_context=64,
    tied_embeddings=True,
)
CPU = torch.device("cpu")


def make_pool(columns: int = 64, max_slots: int = 8) -> AdapterPool:
    return AdapterPool(columns, max_slots, ColumnAdapters(SPEC, columns, torch.float32, CPU))


def make_adapter(
    name: str, rank: int, targets: tuple[str, ...] = PROJECTIONS, ranks: dict[str, int] | None = None
) -> AdapterWeights:
    """Random weights, none of them zero."""
    generator = torch.Generator().manual_seed(hash_of(name))
    pairs = {}
    for layer in range(SPEC.num_layers):
        for projection in targets:
            r = (ranks or {}).get(projection, rank)
            out_features, in_features = SPEC.projection_shape(projection)
            pairs[layer, projection] = LoraPair(
                a=torch.rand(r, in_features, generator=generator) + 1,
                b=torch.rand(r, out_features, generator=generator) + 1,
            )
    return AdapterWeights(name, max(pair.a.shape[0] for pair in pairs.values()), pairs)


def hash_of(name: str) -> int:
    return int.from_bytes(name.encode(), "little") % (1 << 40)


def insert(pool: AdapterPool, weights: AdapterWeights) -> Slot:
    slot = pool.insert(weights)
    assert slot is not None
    return slot


def check_contents(pool: AdapterPool, slot: Slot, weights: AdapterWeights) -> None:
    """The slot's columns hold the adapter, and zeros wherever it has nothing to say."""
    assert isinstance(pool.storage, ColumnAdapters)
    for layer, groups in enumerate(pool.storage.layers):
        for group, projections in GROUPS.items():
            a = groups[group].a.view(pool.columns, len(projections), -1)
            for p, projection in enumerate(projections):
                pair = weights.pairs.get((layer, projection))
                rank = 0 if pair is None else pair.a.shape[0]
                columns_a = a[slot.start : slot.stop, p]
                columns_b = groups[group].b[p][slot.start : slot.stop]
                if pair is not None:
                    assert torch.equal(columns_a[:rank], pair.a)
                    assert torch.equal(columns_b[:rank], pair.b)
                assert not columns_a[rank:].any(), (layer, projection)
                assert not columns_b[rank:].any(), (layer, projection)


def test_adapters_of_different_ranks_lie_side_by_side_and_keep_their_weights() -> None:
    pool = make_pool()
    adapters = [make_adapter(f"r{rank}", rank) for rank in (1, 8, 9, 16, 3)]
    slots = [insert(pool, weights) for weights in adapters]
    assert [slot.width for slot in slots] == [8, 8, 16, 16, 8]
    assert pool.high_water == 56
    pool.check_integrity(pins=0)
    for slot, weights in zip(slots, adapters, strict=True):
        check_contents(pool, slot, weights)


def test_ranks_may_differ_within_an_adapter_and_projections_may_be_missing() -> None:
    pool = make_pool()
    weights = make_adapter("mixed", 4, targets=("q_proj", "v_proj", "down_proj"), ranks={"v_proj": 11})
    slot = insert(pool, weights)
    assert slot.width == 16
    check_contents(pool, slot, weights)


def test_what_a_larger_adapter_left_behind_is_wiped_for_a_smaller_one() -> None:
    pool = make_pool(columns=16)
    insert(pool, make_adapter("large", 16))
    small = make_adapter("small", 3, targets=("k_proj", "up_proj"))
    slot = insert(pool, small)
    assert pool.resident == ["small"]
    assert (slot.start, slot.stop) == (0, COLUMN_GRANULE)
    check_contents(pool, slot, small)


def test_the_least_recently_used_adapter_leaves_first() -> None:
    pool = make_pool(columns=24)
    for name in ("a", "b", "c"):
        insert(pool, make_adapter(name, 8))
    pool.pin("a")
    pool.unpin("a")  # a has just been used
    insert(pool, make_adapter("d", 8))
    assert pool.resident == ["c", "a", "d"]
    insert(pool, make_adapter("e", 8))
    assert pool.resident == ["a", "d", "e"]


def test_the_number_of_slots_is_a_limit_of_its_own() -> None:
    pool = make_pool(columns=64, max_slots=2)
    for name in ("a", "b", "c"):
        insert(pool, make_adapter(name, 8))
    assert pool.resident == ["b", "c"]


def test_an_adapter_that_is_already_resident_is_not_written_again() -> None:
    pool = make_pool()
    slot = insert(pool, make_adapter("a", 8))
    assert insert(pool, make_adapter("a", 8)) is slot
    assert pool.find("a") is slot
    assert pool.find("b") is None


def test_a_pinned_adapter_is_never_evicted_and_blocks_until_it_is_let_go() -> None:
    pool = make_pool(columns=16)
    old = make_adapter("old", 8)
    slot = insert(pool, old)
    pool.pin("old")
    pool.pin("old")
    insert(pool, make_adapter("young", 8))
    insert(pool, make_adapter("younger", 8))
    assert pool.resident == ["old", "younger"]
    assert pool.insert(make_adapter("wide", 16)) is None
    assert pool.resident == ["old", "younger"], "nothing is evicted for an adapter that does not fit after all"
    check_contents(pool, slot, old)
    with pytest.raises(RuntimeError, match="in use by 2 lines"):
        pool.evict("old")
    pool.unpin("old")
    assert pool.insert(make_adapter("wide", 16)) is None
    pool.unpin("old")
    insert(pool, make_adapter("wide", 16))
    assert pool.resident == ["wide"]


def test_an_adapter_wider_than_the_pool_is_never_held_and_costs_nobody_a_place() -> None:
    pool = make_pool(columns=20)  # rounded up
    assert pool.columns == 24
    assert pool.can_hold(24)
    assert not pool.can_hold(25)
    insert(pool, make_adapter("a", 8))
    assert pool.insert(make_adapter("wide", 25)) is None
    assert pool.resident == ["a"]


def test_a_gap_is_filled_before_anyone_is_evicted() -> None:
    pool = make_pool(columns=32)
    for name in ("a", "b", "c", "d"):
        insert(pool, make_adapter(name, 8))
    pool.evict("b")
    assert insert(pool, make_adapter("e", 5)).start == 8
    assert pool.resident == ["a", "c", "d", "e"]


def test_a_pin_too_few_is_told() -> None:
    pool = make_pool()
    insert(pool, make_adapter("a", 8))
    with pytest.raises(RuntimeError, match="is not pinned"):
        pool.unpin("a")


@pytest.mark.parametrize("seed", range(4))
def test_random_use_keeps_slots_apart_pins_in_place_and_contents_right(seed: int) -> None:
    draw = random.Random(seed)
    pool = make_pool(columns=72, max_slots=5)
    adapters = {f"adapter {i}": make_adapter(f"adapter {i}", draw.randint(1, 40)) for i in range(12)}
    pinned: list[str] = []
    for _ in range(150):
        action = draw.random()
        if action < 0.5:
            weights = adapters[draw.choice(sorted(adapters))]
            before = list(pool.resident)
            if pool.insert(weights) is None:
                assert pinned, "only pinned adapters may be in the way"
                assert pool.resident == before
        elif action < 0.75 and pool.resident:
            pinned.append(draw.choice(pool.resident))
            pool.pin(pinned[-1])
        elif pinned:
            pool.unpin(pinned.pop(draw.randrange(len(pinned))))
        pool.check_integrity(pins=len(pinned))
        assert len(pool.resident) <= 5
        assert set(pinned) <= set(pool.resident)
    for digest in pool.resident:
        slot = pool.find(digest)
        assert slot is not None
        check_contents(pool, slot, adapters[digest])


def overlap(pool: AdapterPool) -> None:
    second = pool.find("b")
    assert second is not None
    second.start -= 1


def run_over_the_end(pool: AdapterPool) -> None:
    second = pool.find("b")
    assert second is not None
    second.start = pool.columns - 1


def leak_a_pin(pool: AdapterPool) -> None:
    pool.pin("a")


@pytest.mark.parametrize("damage", [overlap, run_over_the_end, leak_a_pin])
def test_the_alarm_rings_when_the_pool_is_broken_on_purpose(damage: Any) -> None:
    pool = make_pool()
    insert(pool, make_adapter("a", 8))
    insert(pool, make_adapter("b", 8))
    pool.pin("b")
    pool.check_integrity(pins=1)
    damage(pool)
    with pytest.raises(RuntimeError, match=r"overlaps|pins are held"):
        pool.check_integrity(pins=1)


def test_the_host_keeps_what_was_used_last_within_its_bytes() -> None:
    a, b, c = (make_adapter(name, 8) for name in "abc")
    host = HostAdapters(capacity_bytes=2 * a.bytes)
    host.put(a)
    host.put(b)
    assert host.get("a") is a  # now b is the oldest
    host.put(c)
    assert host.digests == ["a", "c"]
    assert host.get("b") is None
    assert host.bytes == a.bytes + c.bytes <= host.capacity_bytes


def test_the_host_counts_an_adapter_once_and_forgets_it_wholly() -> None:
    host = HostAdapters(capacity_bytes=1 << 30)
    host.put(make_adapter("a", 8))
    larger = make_adapter("a", 16)
    host.put(larger)
    assert (host.digests, host.bytes) == (["a"], larger.bytes)
    host.remove("a")
    host.remove("a")
    assert (host.digests, host.bytes) == ([], 0)


def test_one_adapter_larger_than_the_hosts_memory_is_still_kept_alone() -> None:
    host = HostAdapters(capacity_bytes=1)
    host.put(make_adapter("a", 8))
    host.put(make_adapter("b", 8))
    assert host.digests == ["b"]
