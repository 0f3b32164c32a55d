"""Reports of benchmarks as tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from townsfolk.cli.terminal import counted, labelled, per_second

Report = dict[str, Any]


def print_report(console: Console, name: str, report: Report) -> None:
    """Print what the benchmark `name` found, with the machine it was found on."""
    machine = report["machine"]
    place = machine["accelerator"] or machine["cpu"]
    setting = f"{report['model']} in {machine['dtype']} on {place}, {counted(machine['threads'], 'thread')}"
    console.print(setting, style="dim", markup=False, soft_wrap=True)
    console.print()
    console.print(TABLES[name](report))


def _grid(report: Report) -> Table:
    table = _table("streams", "adapters", "tokens/s", "drawn", "base only", "one at a time", "LoRA unused")
    speeds = ("tokens_per_s", "drawn_tokens_per_s", "base_only_tokens_per_s", "one_at_a_time_tokens_per_s")
    for row in report["rows"]:
        cells = (per_second(row[key]) if key in row else "" for key in (*speeds, "unused_lora_tokens_per_s"))
        table.add_row(str(row["streams"]), str(row["adapters"]), *cells)
    return table


def _overhead(report: Report) -> Table:
    table = _table("call", "tokens/s", "in process", "ratio", "delay, median", "delay, p99")
    for row in report["rows"]:
        table.add_row(
            row["call"],
            per_second(row["tokens_per_s"]),
            per_second(row["in_process_tokens_per_s"]),
            f"{row['over_in_process']:.1%}",
            _ms(row["delay_p50_s"]),
            _ms(row["delay_p99_s"]),
        )
    return table


def _first_token(report: Report) -> Table:
    table = _table("prompt", "first token", "tokens from the cache")
    for row in report["rows"]:
        table.add_row(row["case"].replace("_", " "), _ms(row["first_token_s"]), str(row["cached_tokens"]))
    table.add_row("cold : cached", f"{report['cold_over_cached']:.1f}", "")
    table.add_row("cold : second turn", f"{report['cold_over_second_turn']:.1f}", "")
    return table


def _scale(report: Report) -> Table:
    rows: list[tuple[str, str]] = []
    for row in report["rows"]:
        times = f"first token {_ms(row['first_token_median_s'])}, p99 {_ms(row['first_token_p99_s'])}"
        wait = f"longest wait {_ms(row['longest_queue_wait_s'])}, {row['adapter_loads']} adapters loaded"
        rows.append((f"{report['personas']} over {row['slots']} slots", f"{times}; {wait}"))
    for case in ("quiet", "resident_persona", "new_persona"):
        found = report["arrivals"][case]
        gaps = f"between tokens {_ms(found['gap_median_s'])}, p99 {_ms(found['gap_p99_s'])}"
        rows.append((f"arrivals: {case.replace('_', ' ')}", gaps))
    memory = report["memory"]
    if memory["before_mb"] is not None:
        stages = (("before", "before_mb"), ("known", "surveyed_mb"), ("read", "read_mb"))
        found = ", ".join(f"{memory[key]:.0f} MB {stage}" for stage, key in stages)
        rows.append((f"{memory['personas']} personas on disk", found))
    return labelled(rows)


def _profile(report: Report) -> Table:
    table = _table("phase", "base only", f"{counted(report['adapters'], 'adapter')}")
    for row in report["rows"]:
        table.add_row(row["phase"], f"{row['base_ms']:.2f} ms", f"{row['mixed_ms']:.2f} ms")
    table.add_section()
    for label, key, unit in (
        ("a step", "step_ms", "ms"),
        ("tokens a step", "tokens", ""),
        ("weights read", "read_gb_per_s", "GB/s"),
        ("multiplied and added", "gmacs_per_s", "G/s"),
    ):
        table.add_row(label, *(f"{report[side][key]:.4g} {unit}".strip() for side in ("base", "mixed")))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading, justify="right" if heading not in ("call", "prompt", "phase") else "left")
    return table


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


TABLES: dict[str, Callable[[Report], Table]] = {
    "town": _grid,
    "gpu": _grid,
    "overhead": _overhead,
    "first-token": _first_token,
    "scale": _scale,
    "profile": _profile,
}
