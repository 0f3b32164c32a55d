"""The demo as a user runs it: its own daemon, the real model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

pytestmark = [pytest.mark.slow, pytest.mark.real_model]


def test_demo_decodes_two_characters_in_one_step_and_reuses_their_history(run: Command, real_model_path: Path) -> None:
    outcome = run(
        "demo", "--personas", "old_knight,dwarf_smith", "--model", str(real_model_path), "--seed", "1", "--json"
    )
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert all(line["text"] and not line["fallback"] for line in report["lines"])
    assert report["town"]["largest_batch_rows"] == 2
    second_round = [line["stats"] for line in report["lines"] if line["round"] == 2]
    assert all(stats["cached_prompt_tokens"] > 100 for stats in second_round)  # the first exchange is not read again
