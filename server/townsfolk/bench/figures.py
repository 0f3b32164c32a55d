"""What becomes of many measured values: medians and percentiles, rounded, and the head of a report."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from townsfolk.bench.machine import describe

if TYPE_CHECKING:
    from townsfolk.bench.drive import DrivableEngine

DIGITS = 4  # significant ones that are kept; what lies beyond is noise


def rounded(value: float) -> float:
    """A value with four significant digits."""
    return float(f"{value:.{DIGITS}g}")


def median(values: Sequence[float]) -> float:
    """The median, rounded."""
    return rounded(statistics.median(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that ``percent`` of all values do not exceed (nearest rank), rounded."""
    ordered = sorted(values)
    return rounded(ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1])


def report_head(engine: DrivableEngine) -> dict[str, Any]:
    """Where and when something was measured: ``machine``, ``model`` and ``date`` (UTC, ISO 8601)."""
    return {
        "machine": describe(engine),
        "model": engine.spec.name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
