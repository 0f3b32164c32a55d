"""Numbers for adapters: never twice, never more than the bound."""

from __future__ import annotations

import pytest

from townsfolk.engine.tensorrt_llm.adapter_table import AdapterTable
from townsfolk.engine.tensorrt_llm.kept_prefix import KeptPrefixes
from townsfolk.engine.tensorrt_llm.steps import Said, Steps


def test_a_number_is_never_given_twice() -> None:
    table = AdapterTable(bound=3)
    given = [table.add("a"), table.add("b")]
    table.forget("a")
    given.append(table.add("a"))
    assert table.full
    table.start_anew()
    assert table.find("a") is None
    given += [table.add("a"), table.add("c")]
    assert given == sorted(set(given))
    assert table.loads == 5


def test_forgetting_makes_no_room_below_the_bound() -> None:
    table = AdapterTable(bound=1)
    table.add("a")
    table.forget("a")
    with pytest.raises(RuntimeError, match="1 of 1"):
        table.add("b")


def test_the_common_beginning_of_an_adapters_prompts_is_learnt() -> None:
    prefixes = KeptPrefixes(bound=2)
    persona = list(range(100))
    first_session = [*persona, 500, 501]
    assert prefixes.of("elf", first_session) == 0
    assert prefixes.of("elf", [*first_session, 7, 8]) == 102  # a second turn of the same session
    assert prefixes.of("elf", [*persona, 600]) == 100
    assert prefixes.of("elf", [*first_session, 7, 8, 9]) == 100
    assert prefixes.of("elf", [9, *persona]) == 0  # edited: nothing is common any more
    assert prefixes.of("elf", [9, *persona, 1]) == 101
    prefixes.of("owl", persona)
    prefixes.of("fox", persona)
    assert prefixes.of("elf", [9, *persona, 1]) == 0  # forgotten for the others


def test_tokens_that_arrive_together_are_of_one_step() -> None:
    steps = Steps()
    tokens = steps.number_tokens([Said(1, 10, "a"), Said(2, 20, "b"), Said(3, 30, ""), "an end"])
    assert [(t.step, t.rows, t.adapters) for t in tokens[:3]] == [(1, 3, 2)] * 3
    assert tokens[3] == "an end"
    late = steps.number_tokens([Said(1, 11, "a"), Said(1, 12, "a"), Said(2, 21, "b")])
    assert [(t.token_id, t.step, t.rows) for t in late] == [(11, 2, 1), (12, 3, 2), (21, 3, 2)]
    assert (steps.number, steps.max_rows, dict(steps.adapters_per_step)) == (3, 3, {2: 2, 1: 1})
