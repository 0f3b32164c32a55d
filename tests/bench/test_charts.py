"""Charts as files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from townsfolk.bench.charts import ChartLine, bar_chart, line_chart, require_matplotlib
from townsfolk.errors import FailedPrecondition

PNG = b"\x89PNG\r\n\x1a\n"


def test_charts_are_png_files_in_folders_made_for_them(tmp_path: Path) -> None:
    lines = [ChartLine("8 streams", [(0, 143.0), (8, 105.0)]), ChartLine("one at a time", [(0, 31.0)], dashed=True)]
    line_chart(tmp_path / "a" / "lines.png", "Town", "tiny", "adapters", "tokens/s", lines)
    bar_chart(tmp_path / "a" / "bars.png", "Town", "tiny", "ms", [("cold", 412.0), ("cached", 1.5)])
    for name in ("lines.png", "bars.png"):
        assert (tmp_path / "a" / name).read_bytes().startswith(PNG)


def test_missing_matplotlib_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FailedPrecondition, match=r"run `pip install 'townsfolk\[bench\]'`"):
        require_matplotlib()
