"""What many voices said, as Markdown, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from townsfolk.cli.plain import to_plain
from townsfolk.cli.report_file import ReportFormat, write_whole
from townsfolk.cli.shared_steps import Measured, Steps, measured_in_words, steps_in_words, steps_of, total
from townsfolk.v1.common_pb2 import FINISH_REASON_DEADLINE, FINISH_REASON_LENGTH, Finished
from townsfolk.wording import in_seconds, per_second

if TYPE_CHECKING:
    from townsfolk.cli.preview_view import Voice
    from townsfolk.v1.common_pb2 import TurnStats

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute instead of show
CUTS: dict[int, str] = {
    FINISH_REASON_LENGTH: "at its longest (--max-tokens)",
    FINISH_REASON_DEADLINE: "by the time (--timeout)",
}
CSV_COLUMNS = (
    "part", "voice", "persona_id", "adapter_digest", "text", "error", "finish_reason", "tokens",
    "first_token_s", "total_s", "tokens_per_s", "shared_steps", "largest_batch_rows", "largest_batch_adapters",
)  # fmt: skip


@dataclass
class Part:
    """A part of the document and what each voice makes of it. ``seconds``: from the request to the last word."""

    text: str
    voices: Sequence[Voice]
    seconds: float = 0.0

    @property
    def stats(self) -> list[TurnStats]:
        return [voice.stats for voice in self.voices if voice.stats is not None]


@dataclass
class Report:
    """What came of one text under many adapters."""

    source: str  # name of the file; empty for words of the command line
    model: str
    seed: int
    persona_ids: Sequence[str]  # in the order of the voices; empty for the base model
    parts: list[Part] = field(default_factory=list)
    measured: Measured | None = None

    @property
    def steps(self) -> Steps:
        return total([steps_of(part.stats) for part in self.parts])

    @property
    def tokens(self) -> int:
        return sum(stats.completion_tokens for part in self.parts for stats in part.stats)

    @property
    def seconds(self) -> float:
        return sum(part.seconds for part in self.parts)


def write_report(report: Report, format_: ReportFormat, path: Path) -> None:
    """Write the whole file or, if that fails, nothing."""
    # spreadsheets take a CSV file for the system's old code page unless it begins with a mark
    encoding = "utf-8-sig" if format_ is ReportFormat.CSV else "utf-8"
    write_whole(path, as_text(report, format_), encoding=encoding)


def cut_short(report: Report) -> str:
    """Which voices did not come to their own end, and what allows more; empty if all did."""
    cut = {
        f"{voice.label} {CUTS[voice.finish_reason]}": None
        for part in report.parts
        for voice in part.voices
        if voice.finish_reason in CUTS
    }
    return ", ".join(cut)


def as_text(report: Report, format_: ReportFormat) -> str:
    """The report in a format, with a line break at its end."""
    return WRITERS[format_](report)


def _as_markdown(report: Report) -> str:
    several = len(report.parts) > 1
    lines = [f"# Voices: {report.source or 'one text'}", ""]
    if not report.source:
        lines += [_quoted(report.parts[0].text), ""]
    for number, part in enumerate(report.parts, 1):
        for voice in part.voices:
            heading = f"Part {number} of {len(report.parts)} · {voice.label}" if several else voice.label
            lines += [f"## {heading}", "", _quoted(voice.text) if voice.text else "*nothing*", ""]
            if voice.error:
                lines += [f"**Failed:** {voice.error}", ""]
    lines += ["## Figures", "", "| voice | tokens | first token | tokens/s | shared steps |", "|---|---|---|---|---|"]
    for number, part in enumerate(report.parts, 1):
        for voice in part.voices:
            label = f"{number} · {voice.label}" if several else voice.label
            lines.append(f"| {label} | " + " | ".join(_figures(voice.stats)) + " |")
    lines += ["", f"- Model: {report.model}; seed {report.seed}", f"- Decoding: {steps_in_words(report.steps)}"]
    lines.append(f"- Time: {in_seconds(report.seconds)} for {report.tokens:,} tokens")
    if cut := cut_short(report):
        lines.append(f"- Cut short: {cut}")
    if report.measured is not None:
        lines.append(f"- Measured, prompts read already: {measured_in_words(report.measured)}")
    return "\n".join(lines) + "\n"


def _figures(stats: TurnStats | None) -> list[str]:
    if stats is None:
        return ["–"] * 4
    return [
        f"{stats.completion_tokens:,}",
        in_seconds(stats.time_to_first_token_s),
        per_second(stats.tokens_per_s),
        f"{stats.shared_steps:,}",
    ]


def _quoted(text: str) -> str:
    """As a block quotation, so that no heading in it becomes one of the report's."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _as_json(report: Report) -> str:
    measured = report.measured
    plain = {
        "source": report.source,
        "model": report.model,
        "seed": report.seed,
        "parts": [
            {
                "text": part.text,
                "seconds": round(part.seconds, 3),
                "voices": [_plain(voice, owner) for voice, owner in zip(part.voices, report.persona_ids, strict=True)],
            }
            for part in report.parts
        ],
        "tokens": report.tokens,
        "seconds": round(report.seconds, 3),
        "steps": asdict(report.steps),
        "measured": None
        if measured is None
        else asdict(measured) | {"times_as_fast": round(measured.times_as_fast, 2)},
    }
    return json.dumps(plain, ensure_ascii=False, indent=2) + "\n"


def _plain(voice: Voice, persona_id: str) -> dict[str, Any]:
    return {
        "label": voice.label,
        "persona_id": persona_id,
        "adapter_digest": voice.adapter_digest,
        "text": voice.text,
        "finish_reason": _reason(voice),
        "error": voice.error,
        "stats": None if voice.stats is None else to_plain(voice.stats),
    }


def _reason(voice: Voice) -> str:
    """Such as `stop` or `length`; empty for a line that has none."""
    return "" if voice.stats is None else str(to_plain(Finished(reason=voice.finish_reason))["reason"])  # type: ignore[arg-type]


def _as_csv(report: Report) -> str:
    sink = io.StringIO()
    table = csv.writer(sink, lineterminator="\r\n")
    table.writerow(CSV_COLUMNS)
    for number, part in enumerate(report.parts, 1):
        for voice, persona_id in zip(part.voices, report.persona_ids, strict=True):
            table.writerow([number, *_row(voice, persona_id)])
    return sink.getvalue()


def _row(voice: Voice, persona_id: str) -> list[str | int | float]:
    words = [voice.label, persona_id, voice.adapter_digest, _harmless(voice.text), _harmless(voice.error)]
    stats = voice.stats
    if stats is None:
        return [*words, "", *[""] * 7]
    times = [round(seconds, 4) for seconds in (stats.time_to_first_token_s, stats.total_s, stats.tokens_per_s)]
    batch = [stats.shared_steps, stats.max_batch_rows, stats.max_batch_adapters]
    return [*words, _reason(voice), stats.completion_tokens, *times, *batch]


def _harmless(text: str) -> str:
    """Marked as text where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


WRITERS: dict[ReportFormat, Callable[[Report], str]] = {
    ReportFormat.MARKDOWN: _as_markdown,
    ReportFormat.JSON: _as_json,
    ReportFormat.CSV: _as_csv,
}
