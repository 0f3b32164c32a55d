"""The picture beside an adapter: did training help on lines it never saw?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from townsfolk.training.trainer import EpochLoss

INK, GRID = "#2f2a26", "#e4ddd3"
TRAIN, HELD_OUT, BASE = "#9c8862", "#2a7f77", "#b4493a"


def draw_loss_curve(path: Path, persona: str, base_model: str, epochs: Sequence[EpochLoss], base_loss: float) -> None:
    """Write a PNG: training and held-out loss per epoch, and the bare model's held-out loss as a line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 3.8), dpi=120, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    end = epochs[-1].epoch
    middles = [epoch.epoch - 0.5 for epoch in epochs]  # the training loss is a mean over its epoch
    train = [epoch.train for epoch in epochs]
    held_out = [base_loss, *(epoch.held_out for epoch in epochs)]
    axes.plot([0, end], [base_loss, base_loss], color=BASE, linewidth=1.6, linestyle=(0, (5, 3)))
    axes.plot(middles, train, color=TRAIN, linewidth=2.0, marker="o", markersize=4)
    axes.plot(range(end + 1), held_out, color=HELD_OUT, linewidth=2.4, marker="o", markersize=5)
    axes.set_xlim(0, end * 1.3)
    gap = 0.06 * (axes.get_ylim()[1] - axes.get_ylim()[0])
    curves = [("base model", base_loss, BASE), ("held out", held_out[-1], HELD_OUT), ("training", train[-1], TRAIN)]
    height = float("inf")
    for label, loss, color in sorted(curves, key=lambda curve: -curve[1]):
        height = min(loss, height - gap)  # no label on top of another
        text = axes.text(end * 1.03, height, f"{label} {loss:.2f}", color=color, fontsize=9, va="center")
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})
    axes.set_title(persona, loc="left", fontsize=13, fontweight="bold", color=INK, pad=18)
    axes.text(0, 1.03, f"LoRA adapter on {base_model}", transform=axes.transAxes, fontsize=9, color=INK, alpha=0.75)
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel("loss per reply token", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= end])
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    figure.savefig(path, format="png", metadata={"Software": None})
