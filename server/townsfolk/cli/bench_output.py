"""What every benchmark has in common towards its user: a progress bar, a table or JSON, and the files asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from townsfolk.cli.terminal import error_console, output_console

if TYPE_CHECKING:
    from townsfolk.bench.drive import Progress

Report = dict[str, Any]


class Output:
    """Where the report of one benchmark goes.

    Args:
        name: of the benchmark, and of its files.
        as_json: print the report as one JSON object instead of a table.
        folder: for `NAME.json` and `NAME.png`, or ``None``.
        chart: file for the chart, or ``None``.

    Raises ``FailedPrecondition`` at once where a package is missing that the benchmark or its chart needs.
    """

    def __init__(self, name: str, as_json: bool, folder: Path | None, chart: Path | None) -> None:
        from townsfolk.bench.charts import require_matplotlib
        from townsfolk.cli.launch import check_engine_packages

        check_engine_packages()
        if folder is not None or chart is not None:
            require_matplotlib()
        self._name, self._as_json, self._folder, self._chart = name, as_json, folder, chart

    def run(self, measure: Callable[[Progress], Report]) -> None:
        """Measure with a progress bar, then print and write what came of it."""
        with _bar(error_console(), self._name) as progress:
            report = measure(progress)
        text = json.dumps(report, ensure_ascii=False, indent=2)
        written = self._write(report, text)
        if self._as_json:
            typer.echo(text)
            return
        from townsfolk.cli.bench_tables import print_report

        console = output_console()
        print_report(console, self._name, report)
        for path in written:
            console.print(f"wrote {path}", style="dim", markup=False, soft_wrap=True)

    def _write(self, report: Report, text: str) -> list[Path]:
        from townsfolk.bench.pictures import draw

        written: list[Path] = []
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            written.append(self._folder / f"{self._name}.json")
            written[-1].write_text(text + "\n", "utf-8")
        pictures = [self._folder / f"{self._name}.png" if self._folder is not None else None, self._chart]
        for path in filter(None, pictures):
            draw(self._name, path, report)
            written.append(path)
        return written


@contextmanager
def _bar(console: Console, name: str) -> Iterator[Progress]:
    """A bar in a terminal; nothing elsewhere."""
    if not console.is_terminal:
        yield lambda done, total, what: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("bench {task.fields[name]}", style="bold"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", style="dim", markup=False),
    )
    with RichProgress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, name=name)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what)
