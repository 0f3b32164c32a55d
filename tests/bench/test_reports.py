"""What each benchmark reports, over a tiny model. No time is checked: what they are is the machine's business."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from townsfolk.bench import grid
from townsfolk.bench.drive import EngineOptions
from townsfolk.bench.figures import median, percentile
from townsfolk.bench.first_token import FirstTokenPlan, bench_first_token
from townsfolk.bench.gpu import bench_gpu
from townsfolk.bench.grid import GridPlan
from townsfolk.bench.many_personas import measure_memory
from townsfolk.bench.overhead import OverheadPlan, bench_overhead
from townsfolk.bench.persona_folders import write_persona
from townsfolk.bench.pictures import draw
from townsfolk.bench.random_model import SHAPES, RandomCheckpoint
from townsfolk.bench.scale import ScalePlan, bench_scale
from townsfolk.bench.town import bench_town
from townsfolk.bench.workload import write_adapters
from townsfolk.errors import FailedPrecondition, InvalidArgument
from townsfolk.personas.validation import validate_persona

ROW_KEYS = {
    "streams",
    "adapters",
    "rank",
    "prompt_tokens",
    "new_tokens",
    "tokens_per_s",
    "base_only_tokens_per_s",
    "one_at_a_time_tokens_per_s",
}
GRID = GridPlan((1, 2), (0, 1, 2), rank=4, prompt_tokens=8, new_tokens=3, rounds=2, sample=2)


def silent(done: int, total: int, what: str) -> None:
    assert 0 <= done <= total
    assert what


def check_head_and_chart(name: str, report: dict[str, Any], folder: Path) -> None:
    assert list(report)[:3] == ["machine", "model", "date"]
    assert json.loads(json.dumps(report)) == report
    draw(name, folder / "charts" / "chart.png", report)
    assert (folder / "charts" / "chart.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_town_reports_every_cell(options: EngineOptions, tmp_path: Path) -> None:
    report = bench_town(options, GRID, silent)
    check_head_and_chart("town", report, tmp_path)
    assert set(report) == {"machine", "model", "date", "rows"}
    assert report["model"] == "tiny"
    rows = report["rows"]
    assert [(row["streams"], row["adapters"]) for row in rows] == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    for row in rows:
        assert set(row) >= ROW_KEYS
        assert set(row["runs"]) >= {"drawn", "base_only", "one_at_a_time"}
        assert ("unused_lora_tokens_per_s" in row) == (row["adapters"] == 0)
        assert all(len(speeds) == 2 and min(speeds) > 0 for speeds in row["runs"].values())
        assert row["one_at_a_time_streams"] == row["streams"]


def test_no_prompt_of_a_town_is_used_twice(options: EngineOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []
    for name in ("time_together", "time_one_by_one"):
        timed = getattr(grid, name)

        def noting(driven: Any, prompts: Any, *rest: Any, timed: Any = timed, **options: Any) -> Any:
            asked.extend(map(tuple, prompts))
            return timed(driven, prompts, *rest, **options)

        monkeypatch.setattr(grid, name, noting)
    bench_town(options, GRID, silent)
    assert len(set(asked)) == len(asked) > 20


def test_first_token_reports_what_the_cache_held(options: EngineOptions, tmp_path: Path) -> None:
    plan = FirstTokenPlan(persona_tokens=40, line_tokens=6, new_tokens=5, rank=4, rounds=2)
    report = bench_first_token(options, plan, silent)
    check_head_and_chart("first-token", report, tmp_path)
    cached = {row["case"]: row["cached_tokens"] for row in report["rows"]}
    assert cached == {"cold": 0, "cached": 40, "second_turn": 40 + 6 + 4}  # a reply's last token is never computed
    assert {"cold_over_cached", "cold_over_second_turn"} <= set(report)


def test_scale_reports_few_slots_beside_all_resident(options: EngineOptions, tmp_path: Path) -> None:
    plan = ScalePlan(5, 2, 2, 4, 8, 3, requests=10, rounds=1, gap_tokens=20, disk_personas=3)
    report = bench_scale(options, plan, silent)
    check_head_and_chart("scale", report, tmp_path)
    few, resident = report["rows"]
    assert (few["slots"], resident["slots"]) == (2, 5)
    assert few["adapter_loads"] > 0
    assert resident["adapter_loads"] == 0
    assert set(few) >= {"first_token_median_s", "first_token_p99_s", "longest_queue_wait_s"}
    assert set(report["arrivals"]) >= {"quiet", "resident_persona", "new_persona"}
    assert report["arrivals"]["new_persona"]["gaps"] == 19
    assert report["memory"]["personas"] == 3


def test_overhead_compares_the_same_lines(options: EngineOptions, tmp_path: Path) -> None:
    report = bench_overhead(options, OverheadPlan(2, 4, 40, 6, rounds=1), silent)
    check_head_and_chart("overhead", report, tmp_path)
    assert [row["call"] for row in report["rows"]] == ["say", "converse"]
    assert report["prompt_tokens"] >= 40
    for row in report["rows"]:
        assert row["tokens"] == row["in_process_tokens"]
        assert 0 < row["delay_p50_s"] <= row["delay_p99_s"]
        assert row["over_in_process"] > 0


def test_gpu_benchmark_runs_tiny_on_a_cpu_and_says_that_weights_are_random(tmp_path: Path) -> None:
    report = bench_gpu("cpu", "fp32", "tiny", GRID, silent)
    check_head_and_chart("gpu", report, tmp_path)
    assert report["weights"] == "random"
    assert report["model"] == "tiny-shape-random-weights"
    assert all(set(row) >= ROW_KEYS for row in report["rows"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_gpu_benchmark_without_a_card_is_a_sentence() -> None:
    with pytest.raises(FailedPrecondition, match="needs an NVIDIA card, and this PyTorch sees none"):
        bench_gpu("cuda", "auto", "llama-3.2-3b", GRID, silent)


def test_random_model_is_the_same_every_time() -> None:
    first, second = (RandomCheckpoint(SHAPES["tiny"], torch.device("cpu")) for _ in range(2))
    for name in first.names():
        assert torch.equal(first.tensor(name), second.tensor(name)), name
    q, k = (first.tensor(f"model.layers.{layer}.self_attn.q_proj.weight") for layer in range(2))
    assert not torch.equal(q, k)


def test_llama_shape_has_the_published_number_of_weights() -> None:
    checkpoint = RandomCheckpoint(SHAPES["llama-3.2-3b"], torch.device("cpu"))
    weights = sum(torch.Size(shape).numel() for shape in checkpoint.shapes.values())
    assert weights == 3_212_749_824


def test_plan_without_cells_is_a_sentence() -> None:
    with pytest.raises(InvalidArgument, match="nothing to measure"):
        GridPlan((1,), (2, 4))


def test_scale_without_more_personas_than_slots_is_a_sentence() -> None:
    with pytest.raises(InvalidArgument, match="more personas than slots"):
        ScalePlan(personas=8, slots=8)


def test_written_personas_are_sound_and_share_their_adapter(tmp_path: Path) -> None:
    (adapter,) = write_adapters(tmp_path, SHAPES["tiny"], 1, rank=2)
    for persona_id in ("one", "two"):
        write_persona(tmp_path / "personas", persona_id, "You are one of two.", adapter, "tiny")
        assert validate_persona(tmp_path / "personas" / persona_id, "tiny") == []
    assert (adapter / "adapter_model.safetensors").stat().st_nlink == 3
    assert measure_memory(tmp_path / "more", 4, adapter, "tiny")["personas"] == 4


def test_median_and_percentile_are_of_the_values() -> None:
    assert median([1.0, 2.0, 4.0]) == 2.0
    assert percentile([float(value) for value in range(1, 101)], 99) == 99.0
    assert percentile([5.0], 50) == 5.0
