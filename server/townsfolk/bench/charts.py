"""Charts of what was measured, as PNG files. Needs matplotlib, which only benchmarks and training do."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from townsfolk.errors import FailedPrecondition

INK, GRID = "#2f2a26", "#e4ddd3"
COLOURS = ("#2a7f77", "#b4493a", "#5c7fd6", "#c08a2e", "#8a6fd1", "#4f9a4f")
MUTED = "#8d867e"
SIZE_INCHES = (7.2, 4.2)
DPI = 150


@dataclass(frozen=True)
class ChartLine:
    """One line of a chart. ``points`` are ``(x, y)``; a dashed one is there to compare with."""

    label: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def require_matplotlib() -> None:
    """Raise ``FailedPrecondition`` that says what to install; asked before hours of measuring, not after."""
    if importlib.util.find_spec("matplotlib") is None:
        raise FailedPrecondition("a chart needs the package matplotlib; run `pip install 'townsfolk[bench]'`")


def line_chart(path: Path, title: str, subtitle: str, x_label: str, y_label: str, lines: Sequence[ChartLine]) -> None:
    """Write a PNG with one line for each of ``lines``, each named at its end; the y axis begins at 0."""
    figure, axes = _figure(title, subtitle, y_label)
    coloured = iter(COLOURS * len(lines))
    for line in lines:
        colour = MUTED if line.dashed else next(coloured)
        xs, ys = zip(*line.points, strict=True)
        style = {"linestyle": (0, (5, 3)), "linewidth": 1.6} if line.dashed else {"linewidth": 2.2}
        axes.plot(xs, ys, color=colour, marker="o", markersize=4, **style)
        axes.annotate(
            line.label,
            (xs[-1], ys[-1]),
            xytext=(8, 0),
            textcoords="offset points",
            color=colour,
            fontsize=9,
            va="center",
            annotation_clip=False,
        )
    axes.set_xticks(sorted({x for line in lines for x, _ in line.points}))
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylim(bottom=0)
    _save(figure, path)


def bar_chart(path: Path, title: str, subtitle: str, y_label: str, bars: Sequence[tuple[str, float]]) -> None:
    """Write a PNG with one bar for each ``(label, value)``, the value above it."""
    figure, axes = _figure(title, subtitle, y_label)
    labels, values = zip(*bars, strict=True)
    drawn = axes.bar(range(len(bars)), values, width=0.6, color=COLOURS[0])
    axes.bar_label(
        drawn,
        [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values],
        color=INK,
        fontsize=9,
        padding=3,
    )
    axes.set_xticks(range(len(bars)), labels)
    axes.margins(y=0.12)
    _save(figure, path)


def _figure(title: str, subtitle: str, y_label: str) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK, pad=20)
    axes.text(0, 1.03, subtitle, transform=axes.transAxes, fontsize=9, color=INK, alpha=0.75)
    axes.set_ylabel(y_label, color=INK)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata={"Software": None})
