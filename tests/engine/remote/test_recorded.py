"""Streams as real servers sent them, for the prompt [504, 2134, 314] of SmolLM2-135M, three tokens, two candidates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from townsfolk.engine.remote.dialects.kinds import DIALECTS
from townsfolk.engine.remote.probe import ProbeLine
from townsfolk.engine.remote.settings import ServerKind

RECORDED = Path(__file__).with_name("recorded")
IDS, TEXT = [253, 6936, 338], " a verb that"


@pytest.mark.parametrize(
    ("kind", "file"),
    [("vllm", "vllm-0.32.0.sse"), ("llama_cpp", "llama-server-of-llama-cpp-python-0.3.36.sse")],
)
def test_a_recorded_stream_is_read_whole(kind: ServerKind, file: str) -> None:
    lines = (RECORDED / file).read_text("utf-8").splitlines()
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    chunks = [DIALECTS[kind].chunk(json.loads(event)) for event in events if event != "[DONE]"]
    line = ProbeLine.of(chunks)
    assert (line.ids, line.text) == (IDS, TEXT)
    assert [chunk.finish for chunk in chunks if chunk.finish] == ["length"]
    likelihoods = [likelihood for chunk in chunks for likelihood in chunk.likelihoods]
    assert [likelihood.token_id for likelihood in likelihoods] == IDS
    assert [likelihood.candidate_ids[0] for likelihood in likelihoods] == IDS
    assert all(len(likelihood.candidate_ids) == 2 for likelihood in likelihoods)
    assert all(-4 < value < 0 for value in line.log_probabilities)
