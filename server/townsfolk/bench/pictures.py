"""The chart of each benchmark's report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from townsfolk.bench.charts import ChartLine, bar_chart, line_chart
from townsfolk.cli.terminal import counted

Report = dict[str, Any]


def draw(name: str, path: Path, report: Report) -> None:
    """Write the PNG that belongs to the report of the benchmark ``name`` (town, gpu, overhead, …)."""
    PICTURES[name](path, report)


def _grid(path: Path, report: Report) -> None:
    rows = report["rows"]
    lines = []
    for streams in sorted({row["streams"] for row in rows}, reverse=True):
        points = [(row["adapters"], row["tokens_per_s"]) for row in rows if row["streams"] == streams]
        lines.append(ChartLine(counted(streams, "stream"), points))
    alone = [
        (adapters, median(row["one_at_a_time_tokens_per_s"] for row in rows if row["adapters"] == adapters))
        for adapters in sorted({row["adapters"] for row in rows})
    ]
    lines.append(ChartLine("one at a time", alone, dashed=True))
    first = rows[0]
    subtitle = (
        f"{_setting(report)}, rank {first['rank']}, {first['prompt_tokens']} tokens in, {first['new_tokens']} out"
    )
    line_chart(path, "Characters in one batch", subtitle, "different adapters in the batch", "tokens/s", lines)


def _overhead(path: Path, report: Report) -> None:
    rows = report["rows"]
    in_process = median(row["in_process_tokens_per_s"] for row in rows)
    names = {"say": f"{report['lines']} Say calls", "converse": "one Converse stream"}
    bars = [("in process", in_process), *((names[row["call"]], row["tokens_per_s"]) for row in rows)]
    title = f"{report['lines']} lines at once, with and without the daemon"
    bar_chart(path, title, _setting(report), "tokens/s", bars)


def _first_token(path: Path, report: Report) -> None:
    names = {"cold": "never read", "cached": "persona known", "second_turn": "second turn"}
    bars = [(names[row["case"]], 1000 * row["first_token_s"]) for row in report["rows"]]
    subtitle = f"{_setting(report)}, persona of {report['persona_tokens']} tokens"
    bar_chart(path, "Time to the first token", subtitle, "ms", bars)


def _scale(path: Path, report: Report) -> None:
    bars = [
        (f"{row['slots']} slots, {name}", 1000 * row[f"first_token_{key}_s"])
        for key, name in (("median", "median"), ("p99", "p99"))
        for row in report["rows"]
    ]
    title = f"Time to the first token, {report['personas']} personas"
    bar_chart(path, title, f"{_setting(report)}, {report['streams']} streams", "ms", bars)


def _profile(path: Path, report: Report) -> None:
    bars = [(_on_lines(row["phase"]), row["mixed_ms"]) for row in report["rows"]]
    streams, adapters = counted(report["streams"], "stream"), counted(report["adapters"], "adapter")
    bar_chart(path, f"Where a step goes: {streams}, {adapters}", _setting(report), "ms", bars)


def _on_lines(phase: str) -> str:
    """A label that fits under its bar."""
    return phase.replace(", ", ",\n").replace(" and ", "\nand ").replace(" GEMM", "\nGEMM")


def _setting(report: Report) -> str:
    machine = report["machine"]
    place = machine["accelerator"] or f"{machine['cpu']}, {counted(machine['threads'], 'thread')}"
    return f"{report['model']} in {machine['dtype']} on {place}"


PICTURES: dict[str, Callable[[Path, Report], None]] = {
    "town": _grid,
    "gpu": _grid,
    "overhead": _overhead,
    "first-token": _first_token,
    "scale": _scale,
    "profile": _profile,
}
