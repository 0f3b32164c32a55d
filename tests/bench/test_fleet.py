"""The simulation of many players on one engine, against laws of queues that hold whatever it simulates."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import pytest

FLEET = Path(__file__).resolve().parents[2] / "bench" / "fleet"
RESULTS = FLEET.parent / "results"
sys.path.append(str(FLEET))

from batching import Outcome, Server, StepTimes, Talk, capacity, measured_step_times, simulate  # noqa: E402

STEPS = StepTimes(decode_s=((1, 0.010), (8, 0.020), (32, 0.050)), prefill_s=0.0005)
TALK = Talk(think_s=20.0, prompt_tokens=40, reply_tokens=40)
SERVER = Server(max_running=32, prefill_chunk=128)


def crowd(players: int, **options: float) -> Outcome:
    return simulate(players, TALK, SERVER, STEPS, seconds=1000.0, **options)


@pytest.mark.parametrize("players", [20, 150, 600])
def test_lines_present_are_their_rate_times_their_time(players: int) -> None:
    outcome = crowd(players)  # Little's law
    assert outcome.mean_lines == pytest.approx(outcome.lines_per_s * statistics.mean(outcome.line_s), rel=0.05)


def test_a_lone_player_waits_for_the_prompt_alone() -> None:
    outcome = crowd(1)
    assert outcome.first_token_at(99) == pytest.approx(40 * STEPS.prefill_s)
    assert outcome.tokens_per_s_of_a_line == pytest.approx(100, rel=0.02)


def test_a_full_engine_says_no_more_than_its_batch_can() -> None:
    outcome = crowd(800)
    assert outcome.busy == pytest.approx(1, abs=0.01)
    assert 0.7 * 32 / 0.050 < outcome.tokens / outcome.seconds < 32 / 0.050


def test_players_of_a_crowd_that_is_served_say_a_line_each_time_they_have_thought() -> None:
    outcome = crowd(50)
    each = TALK.think_s + statistics.mean(outcome.line_s)
    assert outcome.lines_per_s == pytest.approx(50 / each, rel=0.05)


def test_the_same_seed_gives_the_same_outcome_and_another_one_another() -> None:
    assert crowd(60, seed=1).line_s == crowd(60, seed=1).line_s
    assert crowd(60, seed=1).line_s != crowd(60, seed=2).line_s


def test_capacity_is_where_the_bound_begins_to_be_broken() -> None:
    best = capacity(TALK, SERVER, STEPS, first_token_p99_s=0.5, line_tokens_per_s=5)
    assert best.first_token_at(99) <= 0.5
    more = simulate(round(best.players * 1.3), TALK, SERVER, STEPS)
    assert more.first_token_at(99) > 0.5
    faster = StepTimes(tuple((rows, seconds / 2) for rows, seconds in STEPS.decode_s), STEPS.prefill_s / 2)
    twice = capacity(TALK, SERVER, faster, first_token_p99_s=0.5, line_tokens_per_s=5)
    assert twice.players > 1.5 * best.players


def test_an_engine_too_slow_for_anybody_serves_nobody() -> None:
    slow = StepTimes(((1, 5.0),), prefill_s=1.0)
    assert capacity(TALK, SERVER, slow, first_token_p99_s=0.5, line_tokens_per_s=5).players == 0


def test_measured_step_times_give_back_the_measured_rate() -> None:
    steps = measured_step_times(RESULTS / "town.json", RESULTS / "first-token.json")
    measured = json.loads((RESULTS / "town.json").read_text("utf-8"))["rows"]
    row = max(measured, key=lambda row: (row["streams"], row["adapters"]))
    streams, new_tokens = row["streams"], row["new_tokens"]
    decoding, reading = steps.of(streams, 0), streams * row["prompt_tokens"] * steps.prefill_s
    assert streams * new_tokens / (new_tokens * decoding + reading) == pytest.approx(row["drawn_tokens_per_s"])
