"""How many players one engine serves: simulated from measured step times, and checked against a real daemon.

Examples:
  python bench/fleet/run.py
  python bench/fleet/run.py --think 30 --reply-tokens 60 --first-token-p99 0.5 --out bench/results
  python bench/fleet/run.py --check 20,80
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

sys.path.append(str(Path(__file__).resolve().parent))

import typer
from batching import Outcome, Server, StepTimes, Talk, capacity, measured_step_times, simulate
from players import play
from rich.console import Console
from rich.progress import track
from rich.table import Table

from townsfolk.bench.charts import ChartLine, line_chart
from townsfolk.bench.own_daemon import own_daemon
from townsfolk.config import EngineSettings
from townsfolk.errors import TownsfolkError
from townsfolk.models import default_model_path

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "bench" / "results"
PERSONAS = REPOSITORY / "personas"
CHECK_S, CHECK_WARM_UP_S = 30.0, 10.0
SHARES = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25)  # of the capacity, for the table and the chart

console = Console(stderr=True)


def main(
    think: Annotated[
        float, typer.Option(min=0.1, help="Mean seconds between an answer and the player's next line.")
    ] = 20.0,
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a prompt that are not in the cache.")] = 43,
    reply_tokens: Annotated[int, typer.Option(min=2, help="Mean tokens of an answer.")] = 40,
    max_running: Annotated[int, typer.Option(min=1, help="Lines decoded together, as engine.max_running.")] = 32,
    first_token_p99: Annotated[
        float, typer.Option(min=0.01, help="Seconds in which 99 of 100 lines must begin.")
    ] = 1.0,
    line_speed: Annotated[float, typer.Option(min=0.1, help="Tokens a second that a line must have at least.")] = 8.0,
    step_times: Annotated[
        Path, typer.Option(help="Folder with town.json and first-token.json of `townsfolk bench`.")
    ] = RESULTS,
    check: Annotated[str, typer.Option(help="Numbers of players to try with a real daemon too, with commas.")] = "",
    json_only: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for fleet.json and fleet.png.")] = None,
) -> None:
    """Print how waiting grows with the number of players, and how many one engine serves within the bounds."""
    talk = Talk(think, prompt_tokens, reply_tokens)
    server = Server(max_running)
    steps = measured_step_times(step_times / "town.json", step_times / "first-token.json")
    best = capacity(talk, server, steps, first_token_p99_s=first_token_p99, line_tokens_per_s=line_speed)
    crowds = [max(1, round(best.players * share)) for share in SHARES] if best.players else [1, 2, 4]
    outcomes = [simulate(players, talk, server, steps) for players in track(crowds, "simulating", console=console)]
    checked = compare_with_daemon([int(part) for part in check.split(",") if part.strip()], talk, server, steps)
    report = {
        "players_served": best.players,
        "bounds": {"first_token_p99_s": first_token_p99, "line_tokens_per_s": line_speed},
        "talk": dataclasses.asdict(talk),
        "server": dataclasses.asdict(server),
        "step_times": dataclasses.asdict(steps),
        "rows": [row(outcome) for outcome in outcomes],
        "checked": [{"simulated": row(simulated), "real": row(real)} for simulated, real in checked],
    }
    if json_only:
        print(json.dumps(report))
    else:
        show(report, outcomes, checked)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "fleet.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
        draw(out / "fleet.png", outcomes, talk)


def compare_with_daemon(
    crowds: Sequence[int], talk: Talk, server: Server, steps: StepTimes
) -> list[tuple[Outcome, Outcome]]:
    """For each number of players: simulated, and with a real daemon and the shipped personas."""
    if not crowds:
        return []
    personas = sorted(
        path.parent.name for path in PERSONAS.glob("*/persona.toml") if 'kind = "task"' not in path.read_text("utf-8")
    )
    pairs = []
    engine = EngineSettings(model=default_model_path(), max_running=server.max_running)
    with (
        tempfile.TemporaryDirectory(prefix="townsfolk-fleet-") as folder,
        asyncio.Runner() as runner,
        own_daemon(Path(folder), engine, PERSONAS, runner) as target,
    ):
        for players in track(crowds, "playing", console=console):
            real = runner.run(play(target, personas, players, talk, seconds=CHECK_S, warm_up_s=CHECK_WARM_UP_S))
            spoken = dataclasses.replace(talk, reply_tokens=max(2, round(real.tokens / max(1, len(real.line_s)))))
            pairs.append((simulate(players, spoken, server, steps, seconds=600), real))
    return pairs


def row(outcome: Outcome) -> dict[str, Any]:
    """The figures of an outcome."""
    return {
        "players": outcome.players,
        "lines_per_s": round(outcome.lines_per_s, 3),
        "busy": round(outcome.busy, 3),
        "first_token_median_s": round(outcome.first_token_at(50), 4),
        "first_token_p99_s": round(outcome.first_token_at(99), 4),
        "line_tokens_per_s": round(outcome.tokens_per_s_of_a_line, 1) if outcome.line_s else 0.0,
        "tokens_per_s": round(outcome.tokens / outcome.seconds, 1),
    }


def show(report: dict[str, Any], outcomes: Sequence[Outcome], checked: Sequence[tuple[Outcome, Outcome]]) -> None:
    """The report as tables."""
    screen = Console()
    bounds = report["bounds"]
    screen.print(
        f"[bold]{report['players_served']:,} players[/] on one engine: 99 of 100 lines begin within "
        f"{bounds['first_token_p99_s']:g} s, at {bounds['line_tokens_per_s']:g} tokens/s or more"
    )
    screen.print(_table([("", outcome) for outcome in outcomes]))
    if checked:
        screen.print("Checked against a real daemon:")
        screen.print(
            _table([(name, o) for pair in checked for name, o in zip(("simulated", "real"), pair, strict=True)])
        )


def _table(rows: Sequence[tuple[str, Outcome]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("", "players", "lines/s", "tokens/s", "first token", "p99", "a line's tokens/s", "busy"):
        table.add_column(heading, justify="right")
    for name, outcome in rows:
        figures = row(outcome)
        table.add_row(
            name, f"{outcome.players:,}", f"{figures['lines_per_s']:.2f}", f"{figures['tokens_per_s']:,.0f}",
            f"{figures['first_token_median_s'] * 1000:,.0f} ms", f"{figures['first_token_p99_s'] * 1000:,.0f} ms",
            f"{figures['line_tokens_per_s']:.1f}", f"{figures['busy']:.0%}" if outcome.busy_s else "",
        )  # fmt: skip
    return table


def draw(path: Path, outcomes: Sequence[Outcome], talk: Talk) -> None:
    """Waiting over the number of players."""
    line_chart(
        path,
        "How long a player waits for the first word",
        f"one engine, a line every {talk.think_s:g} s and {talk.reply_tokens} tokens an answer on average; simulated",
        "players",
        "seconds",
        [
            ChartLine("99th percentile", [(o.players, o.first_token_at(99)) for o in outcomes]),
            ChartLine("median", [(o.players, o.first_token_at(50)) for o in outcomes]),
        ],
    )


if __name__ == "__main__":
    try:
        typer.run(main)
    except (TownsfolkError, OSError) as error:
        console.print(f"[red]{error}[/]")
        sys.exit(1)
