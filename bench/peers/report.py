"""The results as JSON, as one table and as one picture."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

OURS = "Townsfolk"
COLOURS = ("#b5482a", "#4c6a92", "#8fa8c8", "#7a8450", "#b9a44c")
BAR_GROUP = 0.84  # of the space of a case


@dataclass(frozen=True, order=True)
class Shape:
    """How many streams speak at once, and how many different adapters they wear; 0: the bare base model."""

    streams: int
    adapters: int

    def __str__(self) -> str:
        streams = "1 stream" if self.streams == 1 else f"{self.streams} streams"
        adapters = {0: "base model only", 1: "1 adapter"}.get(self.adapters, f"{self.adapters} adapters")
        return f"{streams}, {adapters}"


@dataclass
class Row:
    """Total generated tokens per second of one system and shape, one value a round."""

    system: str
    shape: Shape
    runs: list[float] = field(default_factory=list)

    @property
    def tokens_per_s(self) -> float:
        return statistics.median(self.runs)

    def as_json(self) -> dict[str, Any]:
        return {
            "system": self.system,
            **asdict(self.shape),
            "tokens_per_s": round(self.tokens_per_s, 1),
            "runs": [round(run, 1) for run in self.runs],
        }


@dataclass(frozen=True)
class Agreement:
    """How many leading tokens of each stream are those of the fp32 reference, of ``of`` that were compared."""

    system: str
    case: str
    agreeing: list[int]
    of: int


@dataclass
class Results:
    """Everything that one run of the benchmark found. ``failures`` has a sentence for each system that gave none."""

    about: dict[str, Any]  # machine, model, date, prompt_tokens, new_tokens, rank
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    agreement: list[Agreement] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def row(self, system: str, shape: Shape) -> Row | None:
        return next((row for row in self.rows if (row.system, row.shape) == (system, shape) and row.runs), None)

    def systems(self) -> list[str]:
        """Those that gave figures, in the order in which they were measured."""
        return list(dict.fromkeys(row.system for row in self.rows if row.runs))

    def shapes(self) -> list[Shape]:
        return sorted({row.shape for row in self.rows if row.runs})

    def ratio(self, shape: Shape) -> float | None:
        """Ours divided by the quickest peer."""
        ours = self.row(OURS, shape)
        peers = [row for row in (self.row(s, shape) for s in self.systems() if s != OURS) if row is not None]
        return ours.tokens_per_s / max(p.tokens_per_s for p in peers) if ours and peers else None

    def as_json(self) -> dict[str, Any]:
        return {
            **self.about,
            "versions": self.versions,
            "rows": [row.as_json() for row in self.rows if row.runs],
            "agreement": [asdict(agreement) for agreement in self.agreement],
            "failures": self.failures,
        }


def write(results: Results, folder: Path) -> list[Path]:
    """Write ``peers.json``, ``peers.md`` and, if anything was measured, ``peers.png``; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "peers.json", folder / "peers.md"]
    written[0].write_text(json.dumps(results.as_json(), indent=2) + "\n", "utf-8")
    written[1].write_text(_markdown(results), "utf-8")
    if results.rows:
        written.append(folder / "peers.png")
        _draw(results, written[-1])
    return written


def _markdown(results: Results) -> str:
    about = results.about
    shapes = results.shapes()
    header = ["total tokens/s", *map(str, shapes)]
    lines = [
        f"{about['model']}, adapters of rank {about['rank']} on all seven projections, "
        f"{about['prompt_tokens']} tokens in, {about['new_tokens']} out, greedy; "
        f"median of {_rounds(results)}, from submission to the last token. "
        f"{about['machine']['cpu']}, {about['machine']['cores']} cores, {about['date']}.",
        "",
        _table_line(header),
        _table_line(["---"] + ["---:"] * len(shapes)),
    ]
    for system in results.systems():
        cells = [results.row(system, shape) for shape in shapes]
        lines.append(_table_line([_with_version(results, system), *(_figure(row) for row in cells)]))
    ratios = [results.ratio(shape) for shape in shapes]
    lines.append(_table_line([f"{OURS} ÷ best peer", *("–" if r is None else f"**{r:.2f} ×**" for r in ratios)]))
    lines += ["", *(f"{system}: {why}\n" for system, why in results.failures.items())]
    lines += _agreement_lines(results.agreement)
    return "\n".join(lines).rstrip() + "\n"


def _rounds(results: Results) -> str:
    count = max((len(row.runs) for row in results.rows), default=0)
    return "1 round" if count == 1 else f"{count} rounds"


def _agreement_lines(agreement: list[Agreement]) -> list[str]:
    if not agreement:
        return []
    table = [
        "Leading tokens that are those of transformers + PEFT in fp32, stream by stream:",
        "",
        _table_line(["system", "case", "agreeing", "of"]),
        _table_line(["---", "---", "---", "---:"]),
    ]
    for found in agreement:
        table.append(_table_line([found.system, found.case, ", ".join(map(str, found.agreeing)), str(found.of)]))
    return table


def _table_line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(row: Row | None) -> str:
    return "–" if row is None else f"{row.tokens_per_s:.0f}"


def _with_version(results: Results, system: str) -> str:
    package, version = next(iter(results.versions.get(system, {"": ""}).items()))
    return f"{system} ({package} {version})" if package else system


def _draw(results: Results, path: Path) -> None:
    """Bars of tokens per second, a group for each case; whiskers from the slowest run to the quickest."""
    shapes, systems = results.shapes(), results.systems()
    figure, axes = plt.subplots(figsize=(10, 5.2), layout="constrained")
    width = BAR_GROUP / len(systems)
    for index, system in enumerate(systems):
        rows = {place: row for place, shape in enumerate(shapes) if (row := results.row(system, shape)) is not None}
        heights = [row.tokens_per_s for row in rows.values()]
        whiskers = [
            [height - min(row.runs) for height, row in zip(heights, rows.values(), strict=True)],
            [max(row.runs) - height for height, row in zip(heights, rows.values(), strict=True)],
        ]
        places = [place - BAR_GROUP / 2 + (index + 0.5) * width for place in rows]
        colour = COLOURS[index % len(COLOURS)]
        bars = axes.bar(places, heights, width * 0.94, yerr=whiskers, capsize=2, color=colour, label=system)
        axes.bar_label(bars, fmt="%.0f", padding=3, fontsize=9)
    axes.set_xticks(range(len(shapes)), [str(shape) for shape in shapes])
    axes.set_ylabel("total generated tokens per second")
    axes.set_title(_title(results), loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.12)
    figure.legend(frameon=False, loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=160)
    plt.close(figure)


def _title(results: Results) -> str:
    about = results.about
    return (
        f"{about['model']}, LoRA rank {about['rank']}, {about['prompt_tokens']} tokens in, {about['new_tokens']} out\n"
        f"{about['machine']['cpu']}, {about['machine']['cores']} cores; higher is better"
    )
