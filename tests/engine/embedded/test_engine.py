"""What the engine promises about joining, leaving, caching and sampling, on a two-layer random model."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.engine.embedded.driver import Line, adapter_ref, collect, drive, load_adapters, make_engine, run_lines
from tests.engine.embedded.tiny_models import (
    VOCABULARY,
    AdapterRecipe,
    write_adapter,
    write_model,
)
from townsfolk.engine.embedded.engine import EmbeddedEngine
from townsfolk.engine.messages import (
    AdapterLoaded,
    AdapterRef,
    CallDone,
    CallFailed,
    Generate,
    SamplingParams,
)

GREEDY = SamplingParams(temperature=0.0, max_tokens=12)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model("llama3", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapters(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[AdapterRef]:
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    recipes = [AdapterRecipe(f"rank{rank}", rank=rank) for rank in (4, 8, 16, 8, 8, 8)]
    return [
        adapter_ref(write_adapter(base, recipe, tmp_path_factory.mktemp(recipe.name), seed, strength=0.1))
        for seed, recipe in enumerate(recipes)
    ]


def prompt_of(length: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()


def line_alone(model: Path, request: Generate) -> list[int]:
    return run_lines(make_engine(model), [request])[request.request_id].tokens


def test_the_limits_of_a_step_are_told(model: Path) -> None:
    told = make_engine(model, max_running=4, adapter_slots=3).ready()
    assert (told.max_batch_rows, told.max_batch_adapters) == (4, 3)


def test_a_line_joins_and_leaves_between_any_two_steps(model: Path, adapters: list[AdapterRef]) -> None:
    engine = make_engine(model, max_running=4)
    requests = [
        Generate(i, prompt_of(5 + 9 * i, seed=i), SamplingParams(temperature=0, max_tokens=3 + 4 * i), [], a)
        for i, a in enumerate([None, adapters[0], adapters[1], adapters[2]])
    ]
    lines = {request.request_id: Line() for request in requests}
    waiting = list(requests)

    def join_one(engine: EmbeddedEngine, lines: dict[int, Line]) -> None:
        if waiting:
            engine.submit(waiting.pop(0))

    engine.submit(waiting.pop(0))
    drive(engine, lines, after_step=join_one)
    for request in requests:
        assert lines[request.request_id].tokens == line_alone(model, request)


def test_a_long_prompt_is_read_in_chunks_while_others_go_on_speaking(model: Path) -> None:
    engine = make_engine(model, prefill_chunk=8)
    speaker = Generate(1, prompt_of(4), SamplingParams(temperature=0, max_tokens=40), [])
    reader = Generate(2, prompt_of(100, seed=1), GREEDY, [])
    lines = {1: Line(), 2: Line()}
    engine.submit(speaker)
    while not lines[1].tokens:
        engine.step()
        collect(engine, lines)
    engine.submit(reader)
    spoken_before = len(lines[1].tokens)
    while not lines[2].tokens:
        engine.step()
        collect(engine, lines)
    steps_of_reading = -(-100 // 8)
    assert len(lines[1].tokens) - spoken_before == steps_of_reading  # one token in every step of the other's prefill
    drive(engine, lines)
    assert lines[2].tokens == line_alone(model, reader)


def test_different_adapters_and_base_rows_share_a_decode_step(model: Path, adapters: list[AdapterRef]) -> None:
    engine = make_engine(model)
    load_adapters(engine, adapters[:5])
    requests = [Generate(i, prompt_of(6, i), GREEDY, [], a) for i, a in enumerate([*adapters[:5], None, None])]
    lines = run_lines(engine, requests)
    assert engine.stats().adapters_per_step[5] > 0
    assert max(event.adapters for line in lines.values() for event in line.events) == 5
    assert max(event.rows for line in lines.values() for event in line.events) == 7


@pytest.mark.parametrize("moment", ["waiting", "prefill", "decode"])
def test_cancel_frees_everything_within_one_step(model: Path, adapters: list[AdapterRef], moment: str) -> None:
    engine = make_engine(model, max_running=1 if moment == "waiting" else 4, prefill_chunk=8)
    lines = {1: Line(), 2: Line()}
    engine.submit(Generate(1, prompt_of(60), SamplingParams(temperature=0, max_tokens=50), [], adapters[0]))
    while lines[1].started is None or (moment != "prefill" and not lines[1].tokens):
        engine.step()
        collect(engine, lines)
    engine.submit(Generate(2, prompt_of(70, 3), GREEDY, [], adapters[1]))
    target = 2 if moment == "waiting" else 1
    engine.cancel(target)
    collect(engine, lines)
    assert lines[target].finished is not None
    assert lines[target].finished.reason == "cancelled"
    engine.check_integrity()
    engine.cancel(3 - target)
    assert engine.scheduler.idle
    engine.check_integrity()


def test_a_neighbour_that_leaves_or_is_cancelled_does_not_change_a_line(
    model: Path, adapters: list[AdapterRef]
) -> None:
    engine = make_engine(model)
    long = Generate(1, prompt_of(20), SamplingParams(temperature=0.8, seed=7, max_tokens=30), [], adapters[0])
    short = [Generate(i, prompt_of(9, i), GREEDY, [], adapters[i % 4]) for i in range(2, 6)]

    def cancel_one(engine: EmbeddedEngine, lines: dict[int, Line]) -> None:
        if len(lines[1].tokens) == 5:
            engine.cancel(3)

    lines = run_lines(engine, [*short[:2], long, *short[2:]], after_step=cancel_one)
    assert lines[1].tokens == line_alone(model, long)


def test_the_same_seed_gives_the_same_line_whatever_else_is_in_the_batch(
    model: Path, adapters: list[AdapterRef]
) -> None:
    params = SamplingParams(temperature=1.0, top_p=0.9, repetition_penalty=1.1, seed=1234, max_tokens=20)
    line = Generate(1, prompt_of(15), params, [], adapters[2])
    alone = line_alone(model, line)
    others = [
        Generate(
            i,
            prompt_of(3 * i, i),
            SamplingParams(temperature=1.3, seed=i, max_tokens=25),
            [],
            adapters[i % 5],
        )
        for i in range(2, 12)
    ]
    crowd = run_lines(make_engine(model), [*others[:5], line, *others[5:]])
    assert crowd[1].tokens == alone
    other_seed = Generate(1, line.prompt, SamplingParams(temperature=1.0, seed=1, max_tokens=20), [], adapters[2])
    assert line_alone(model, other_seed) != alone


def test_a_second_turn_prefills_only_its_new_tokens(model: Path, adapters: list[AdapterRef]) -> None:
    engine = make_engine(model)
    first = Generate(1, prompt_of(50), GREEDY, [], adapters[0])
    reply = run_lines(engine, [first])[1].tokens
    history = first.prompt + reply
    second = Generate(2, history + prompt_of(10, 5), GREEDY, [], adapters[0])
    before = engine.stats().prefill_tokens
    line = run_lines(engine, [second])[2]
    assert line.started is not None
    assert line.started.cached_tokens == len(history) - 1  # the last token of the reply was sampled, not yet read
    assert engine.stats().prefill_tokens - before == len(second.prompt) - line.started.cached_tokens
    assert line.tokens == line_alone(model, second)


def test_a_second_session_of_a_persona_reuses_its_prompt_but_no_other_adapters(
    model: Path, adapters: list[AdapterRef]
) -> None:
    engine = make_engine(model)
    persona_prompt = prompt_of(64)

    def started(request_id: int, adapter: AdapterRef | None, seed: int) -> int:
        request = Generate(request_id, persona_prompt + prompt_of(6, seed), GREEDY, [], adapter)
        line = run_lines(engine, [request])[request_id]
        assert line.started is not None
        assert line.tokens == line_alone(model, request)
        return line.started.cached_tokens

    assert started(1, adapters[0], 1) == 0
    assert started(2, adapters[0], 2) == 64
    assert started(3, adapters[1], 3) == 0
    assert started(4, None, 4) == 0
    half = AdapterRef(adapters[0].digest, adapters[0].path, 0.5)
    assert started(5, half, 5) == 0


def test_sessions_that_start_together_read_a_common_prompt_once(model: Path, adapters: list[AdapterRef]) -> None:
    engine = make_engine(model)
    shared = prompt_of(80)
    requests = [Generate(i, shared + prompt_of(5, i), GREEDY, [], adapters[0]) for i in range(1, 5)]
    lines = run_lines(engine, requests)
    assert engine.stats().prefill_tokens == 85 + 3 * 5
    for request in requests:
        assert lines[request.request_id].tokens == line_alone(model, request)


def test_more_adapters_than_slots_are_served_by_turns(model: Path, adapters: list[AdapterRef]) -> None:
    engine = make_engine(model, max_rank=16, adapter_columns=16, max_running=8)
    requests = [Generate(i, prompt_of(8, i), GREEDY, [], adapters[i % 6]) for i in range(18)]
    lines = run_lines(engine, requests)
    for request in requests:
        assert lines[request.request_id].tokens == line_alone(model, request)
    assert engine.stats().max_adapters <= 2


def test_an_adapter_in_use_is_not_unloaded_and_an_idle_one_leaves_no_trace(
    model: Path, adapters: list[AdapterRef]
) -> None:
    engine = make_engine(model)
    lines = {1: Line()}
    engine.submit(Generate(1, prompt_of(10), SamplingParams(temperature=0, max_tokens=30), [], adapters[0]))
    while not lines[1].tokens:
        engine.step()
        collect(engine, lines)
    engine.unload_adapter(100, adapters[0].digest)
    (refused,) = collect(engine, lines)
    assert isinstance(refused, CallFailed)
    assert refused.status == "FAILED_PRECONDITION"
    drive(engine, lines)
    engine.unload_adapter(101, adapters[0].digest)
    (done,) = collect(engine, lines)
    assert isinstance(done, CallDone)
    assert engine.stats().resident_adapters == []
    assert engine.prefixes.used == 0


def test_loading_an_adapter_makes_it_resident_before_its_first_line(model: Path, adapters: list[AdapterRef]) -> None:
    engine = make_engine(model)
    engine.load_adapter(7, adapters[2])
    loaded: list[object] = []
    while not loaded:
        engine.step()
        loaded = collect(engine, {})
    (answer,) = loaded
    assert isinstance(answer, AdapterLoaded)
    assert (answer.call_id, answer.rank, answer.resident) == (7, 16, True)
    assert engine.stats().resident_adapters == [adapters[2].digest]


def test_a_broken_adapter_fails_its_own_line_only(model: Path, adapters: list[AdapterRef], tmp_path: Path) -> None:
    broken = AdapterRef("0" * 64, str(tmp_path / "nowhere"))
    good = Generate(1, prompt_of(10), GREEDY, [], adapters[0])
    lines = run_lines(make_engine(model), [good, Generate(2, prompt_of(10), GREEDY, [], broken)])
    assert lines[2].failed is not None
    assert lines[2].failed.status == "NOT_FOUND"
    assert lines[1].tokens == line_alone(model, good)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (Generate(1, [], GREEDY, []), "INVALID_ARGUMENT"),
        (Generate(1, [5] * 300, GREEDY, []), "INVALID_ARGUMENT"),
        (Generate(1, [VOCABULARY], GREEDY, []), "INVALID_ARGUMENT"),
        (Generate(1, [-1], GREEDY, []), "INVALID_ARGUMENT"),
        (Generate(1, [5], SamplingParams(max_tokens=0), []), "INVALID_ARGUMENT"),
        (Generate(1, [5], GREEDY, [], top_tokens=21), "INVALID_ARGUMENT"),
        (Generate(1, [5], GREEDY, [], AdapterRef("0" * 64, "/nowhere", math.nan)), "INVALID_ARGUMENT"),
    ],
)
def test_a_bad_request_is_refused_before_it_is_queued(model: Path, request_: Generate, status: str) -> None:
    engine = make_engine(model, max_context=256)
    line = run_lines(engine, [request_])[1]
    assert line.failed is not None
    assert line.failed.status == status
    assert engine.scheduler.idle


def test_a_full_queue_refuses_and_keeps_what_it_has(model: Path) -> None:
    engine = make_engine(model, max_running=1, max_waiting=2)
    lines = run_lines(engine, [Generate(i, prompt_of(5, i), GREEDY, []) for i in range(1, 6)])
    refused = [i for i, line in lines.items() if line.failed is not None]
    assert refused == [3, 4, 5]
    assert all(lines[i].failed.status == "RESOURCE_EXHAUSTED" for i in refused)  # type: ignore[union-attr]


def test_a_line_ends_at_its_stop_token_at_its_length_and_at_the_context(model: Path) -> None:
    free = run_lines(make_engine(model), [Generate(1, prompt_of(9), GREEDY, [])])[1].tokens
    at_stop = run_lines(make_engine(model), [Generate(1, prompt_of(9), GREEDY, [free[4]])])[1]
    assert at_stop.tokens == free[: free.index(free[4])]
    assert at_stop.finished is not None
    assert at_stop.finished.reason == "stop"
    endless = SamplingParams(temperature=0, max_tokens=1000)
    at_context = run_lines(make_engine(model, max_context=64), [Generate(1, prompt_of(60), endless, [])])[1]
    assert at_context.finished is not None
    assert (at_context.finished.reason, len(at_context.tokens)) == ("length", 5)


def test_urgent_lines_are_admitted_before_others_that_wait(model: Path) -> None:
    engine = make_engine(model, max_running=1)
    order: list[int] = []

    def note(engine: EmbeddedEngine, lines: dict[int, Line]) -> None:
        order.extend(i for i, line in lines.items() if line.started is not None and i not in order)

    requests = [Generate(i, prompt_of(5, i), GREEDY, [], priority=p) for i, p in [(1, 0), (2, -1), (3, 0), (4, 5)]]
    run_lines(engine, requests, after_step=note)
    assert order == [4, 1, 3, 2]
