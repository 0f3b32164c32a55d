"""Driving an engine in process."""

from __future__ import annotations

from pathlib import Path

import pytest

from townsfolk.bench.alternating import alternate
from townsfolk.bench.drive import BatchTime, DrivenEngine, EngineOptions, adapter_refs, time_one_by_one, time_together
from townsfolk.bench.workload import random_prompts, write_adapters
from townsfolk.engine.messages import AdapterRef
from townsfolk.errors import InvalidArgument


def test_all_lines_of_a_batch_are_timed_to_their_last_token(tmp_path: Path, driven: DrivenEngine) -> None:
    adapters = adapter_refs(write_adapters(tmp_path, driven.engine.spec, 2, rank=4))
    driven.keep_resident(adapters)
    batch = time_together(driven, random_prompts(3, 10, 384), [*adapters, None], 5)
    assert batch.tokens == 15
    assert batch.seconds > 0
    assert driven.engine.stats().max_rows == 3


def test_lines_one_by_one_never_share_a_step(driven: DrivenEngine) -> None:
    assert time_one_by_one(driven, random_prompts(3, 10, 384), [None] * 3, 5).tokens == 15
    assert driven.engine.stats().max_rows == 1


def test_every_token_of_a_line_has_its_time(driven: DrivenEngine) -> None:
    (prompt,) = random_prompts(1, 10, 384)
    line = driven.submit(prompt, None, 6)
    driven.finish([line])
    assert len(line.token_ids) == len(line.token_times) == 6
    assert len(line.gaps_s(line.token_times[0])) == 5
    assert len(line.gaps_s(line.token_times[3])) == 2
    assert line.first_token_s == line.token_times[0] - line.submitted


def test_exactly_the_wanted_adapters_stay_resident(tmp_path: Path, driven: DrivenEngine) -> None:
    first, second = adapter_refs(write_adapters(tmp_path, driven.engine.spec, 2, rank=4))
    for wanted in ([first, second], [second], [], [first]):
        driven.keep_resident(wanted)
        assert set(driven.engine.stats().resident_adapters) == {adapter.digest for adapter in wanted}


def test_forgotten_adapter_is_read_from_disk_again(tmp_path: Path, driven: DrivenEngine) -> None:
    (adapter,) = adapter_refs(write_adapters(tmp_path, driven.engine.spec, 1, rank=4))
    driven.keep_resident([adapter])
    driven.forget([adapter.digest])
    stats = driven.engine.stats()
    assert adapter.digest not in (*stats.resident_adapters, *stats.host_adapters)
    assert time_together(driven, random_prompts(1, 10, 384), [adapter], 2).tokens == 2


def test_what_a_line_fails_with_is_raised(driven: DrivenEngine) -> None:
    line = driven.submit([999], None, 4)
    with pytest.raises(InvalidArgument, match="outside the vocabulary"):
        driven.finish([line])


def test_missing_adapter_is_raised(tmp_path: Path, driven: DrivenEngine) -> None:
    with pytest.raises(Exception, match="no adapter at"):
        driven.keep_resident([AdapterRef("0" * 64, str(tmp_path / "nowhere"))])


def test_context_beyond_the_model_is_a_sentence(options: EngineOptions) -> None:
    with pytest.raises(InvalidArgument, match="tiny reads 512 tokens at most, and prompt and reply need 608"):
        DrivenEngine.start(options.settings(streams=1, adapters=0, rank=1, context=600))


def test_settings_beyond_the_engine_are_a_sentence(options: EngineOptions) -> None:
    with pytest.raises(InvalidArgument, match="the engine cannot be set up for that: max_running: "):
        options.settings(streams=5000, adapters=0, rank=1, context=64)


def test_settings_have_room_for_adapters_in_multiples_of_16(options: EngineOptions) -> None:
    settings = options.settings(streams=2, adapters=3, rank=20, context=143)
    assert (settings.adapter_slots, settings.adapter_columns, settings.max_rank) == (3, 96, 20)
    assert (settings.max_running, settings.max_context) == (2, 151)


def test_variants_take_turns_at_being_first() -> None:
    order: list[tuple[str, int]] = []

    def note(name: str, tokens: int) -> BatchTime:
        order.append((name, tokens))
        return BatchTime(tokens, 0.5)

    speeds = alternate({"a": lambda tokens: note("a", tokens), "b": lambda tokens: note("b", tokens)}, 2, 100)
    assert order == [("a", 4), ("b", 4), ("a", 100), ("b", 100), ("b", 100), ("a", 100)]
    assert speeds == {"a": [200.0, 200.0], "b": [200.0, 200.0]}
