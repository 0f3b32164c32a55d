"""The same work on Townsfolk and on three peers, in turn: ``make bench-peers``.

Example: ``python bench/peers/run.py --rounds 3 --systems townsfolk --systems llama-cpp``
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

HERE = Path(__file__).resolve().parent
COMMON = HERE / "common"
sys.path.append(str(COMMON))

import report  # noqa: E402  (what follows lies beside this file or in common/)
import typer  # noqa: E402
from environments import LOGS, prepare  # noqa: E402
from processes import ChildError, LoadedSystem, last_line, spawned  # noqa: E402
from protocol import Case, Stream  # noqa: E402
from report import OURS, Agreement, Results, Row, Shape  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: E402
from work_folder import WorkPlan, write_work_folder  # noqa: E402

from townsfolk.bench.machine import cpu_model  # noqa: E402
from townsfolk.errors import TownsfolkError  # noqa: E402
from townsfolk.models import DEFAULT_MODEL, default_model_path  # noqa: E402

WORK = HERE / ".work"
RESULTS = HERE.parent / "results"
ADAPTERS, RANK = 8, 16
PROMPT_TOKENS, NEW_TOKENS = 43, 100
CHECK_TOKENS = 16
REFERENCE_TIMEOUT_S = 1800.0

SINGLE, BASE, MIXED, CROWD = Shape(1, 1), Shape(8, 0), Shape(8, 8), Shape(32, 8)
SHAPES = (SINGLE, BASE, MIXED, CROWD)


@dataclass(frozen=True)
class Program:
    """One process to measure. ``environment`` is a folder beside this file, or ``None`` for the project's own."""

    system: str
    environment: str | None
    arguments: tuple[str, ...] = ()
    shapes: tuple[Shape, ...] = SHAPES

    @property
    def key(self) -> str:
        """The name on the command line."""
        return self.environment or OURS.lower()

    @property
    def log(self) -> Path:
        return LOGS / f"{'-'.join([self.key, *self.arguments])}.log"

    def command(self, python: Path) -> list[str]:
        script = HERE / self.environment / "run.py" if self.environment else HERE / "ours.py"
        return [str(python), str(script), str(WORK), *self.arguments]


PROGRAMS = (
    Program(OURS, None),
    Program("llama.cpp, adapter after adapter", "llama-cpp", ("--order", "in-turn")),
    Program("llama.cpp, all at once", "llama-cpp", ("--order", "together"), (MIXED, CROWD)),
    Program("vLLM", "vllm-cpu", (), (SINGLE, MIXED, CROWD)),
    Program("vLLM", "vllm-cpu", ("--base-only",), (BASE,)),
    Program("PEFT", "peft-transformers"),
)
KEYS = tuple(dict.fromkeys(program.key for program in PROGRAMS))

Loaded = list[tuple[Program, LoadedSystem]]


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Times that every system does every case.")] = 3,
    systems: Annotated[list[str] | None, typer.Option(help=f"Measure only these: {', '.join(KEYS)}.")] = None,
    new_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens to generate; fewer only to try this out.")
    ] = NEW_TOKENS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Measure Townsfolk and its peers on the same work and write bench/results/peers.{json,md,png}."""
    console = Console(stderr=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a terminated run cleans up as Ctrl-C does
    if unknown := set(systems or ()) - set(KEYS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}; known are {', '.join(KEYS)}")
    try:
        results = measure([p for p in PROGRAMS if p.key in (systems or KEYS)], rounds, new_tokens, console)
    except TownsfolkError as error:
        console.print(f"[red]{error.message}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("interrupted; nothing was written and no process is left")
        raise typer.Exit(130) from None
    written = report.write(results, RESULTS)
    if as_json:
        print(json.dumps(results.as_json(), indent=2))
    else:
        print(written[1].read_text("utf-8"))
    console.print("written: " + ", ".join(os.path.relpath(path) for path in written))


def measure(programs: list[Program], rounds: int, new_tokens: int, console: Console) -> Results:
    """Install, load and compare the programs, then run all rounds. A program that fails becomes a sentence."""
    results = Results(about=_about(new_tokens))
    plan = WorkPlan(
        model=default_model_path(),
        adapters=ADAPTERS,
        rank=RANK,
        prompt_tokens=PROMPT_TOKENS,
        new_tokens=new_tokens,
        prompts=rounds * sum(shape.streams for shape in SHAPES) + 1,
        max_streams=max(shape.streams for shape in SHAPES),
    )
    with _progress(console) as progress, contextlib.ExitStack() as children:
        pythons = _install(programs, results, progress)
        task = progress.add_task("writing the model, adapters and prompts in every format", total=None)
        write_work_folder(WORK, plan)
        loaded = _load(programs, pythons, results, children, progress)
        progress.update(task, description="comparing first tokens with the fp32 reference")
        _compare(loaded, plan, results)
        progress.update(task, visible=False)
        _run_rounds(loaded, plan, rounds, results, progress)
    return results


def _install(programs: list[Program], results: Results, progress: Progress) -> dict[str, Path]:
    """The Python of each program's environment, by key; what cannot be installed is missing."""
    pythons = {OURS.lower(): Path(sys.executable)}
    for program in programs:
        if program.environment is None or program.key in pythons or program.system in results.failures:
            continue
        task = progress.add_task(f"installing {program.key}", total=None)
        try:
            pythons[program.key] = prepare(
                program.environment,
                lambda line, task=task, key=program.key: progress.update(  # type: ignore[misc]
                    task, description=f"installing {key}: {line[:80]}"
                ),
            )
        except ChildError as error:
            results.failures |= {p.system: str(error) for p in programs if p.key == program.key}
        progress.remove_task(task)
    return pythons


def _load(
    programs: list[Program],
    pythons: dict[str, Path],
    results: Results,
    children: contextlib.ExitStack,
    progress: Progress,
) -> Loaded:
    """Start the programs one after the other; each is loaded, warmed up and stopped before the next one starts."""
    loaded: Loaded = []
    available = [program for program in programs if program.key in pythons]
    task = progress.add_task("", total=len(available))
    for program in available:
        progress.update(task, description=f"loading {program.system}")
        command = program.command(pythons[program.key])
        child = children.enter_context(spawned(command, program.log, {"PYTHONPATH": str(COMMON)}))
        try:
            system = LoadedSystem(child, program.log)
        except ChildError as error:
            results.failures[program.system] = str(error)
        else:
            loaded.append((program, system))
            results.versions[program.system] = system.versions
        progress.advance(task)
    progress.remove_task(task)
    return loaded


def _compare(loaded: Loaded, plan: WorkPlan, results: Results) -> None:
    """Record how many first tokens of every system are the reference's, for mixed adapters and for the base model.

    The last entry is a control: how far the base model's tokens agree with those of the adapters on the same prompts,
    which is what a system that ignored its adapters would get.
    """
    texts = plan.check_prompts
    mixed = Case(tuple(Stream(i % texts, i) for i in range(ADAPTERS)), CHECK_TOKENS)
    base = Case(tuple(Stream(i % texts, None) for i in range(ADAPTERS)), CHECK_TOKENS)
    everything = _reference(Case(mixed.streams + base.streams, CHECK_TOKENS))
    expected = {mixed: everything[:ADAPTERS], base: everything[ADAPTERS:]}
    names = {mixed: f"{ADAPTERS} adapters in one batch", base: "base model only"}
    for program, system in list(loaded):
        wears = {bool(shape.adapters) for shape in program.shapes}
        for case in [case for case, needed in ((mixed, True), (base, False)) if needed in wears]:
            try:
                found = system.ask(case).first_tokens
            except ChildError as error:
                results.failures[program.system] = str(error)
                loaded.remove((program, system))
                break
            agreeing = _leading(found, expected[case])
            results.agreement.append(Agreement(program.system, names[case], agreeing, CHECK_TOKENS))
    control = _leading(expected[base], expected[mixed])
    results.agreement.append(Agreement("control: the reference", "base model against adapters", control, CHECK_TOKENS))


def _leading(found: list[list[int]], expected: list[list[int]]) -> list[int]:
    """How many leading tokens are equal, by stream."""
    counts = []
    for ours, theirs in zip(found, expected, strict=True):
        equal = [a == b for a, b in zip(ours, theirs, strict=True)]
        counts.append(equal.index(False) if False in equal else len(equal))
    return counts


def _reference(case: Case) -> list[list[int]]:
    """The reference's tokens ``[stream][token]``. Raises ``TownsfolkError`` if it cannot be computed."""
    log = LOGS / "reference.log"
    command = [sys.executable, str(HERE / "reference.py"), str(WORK)]
    with spawned(command, log, {"PYTHONPATH": str(COMMON)}) as child:
        try:
            output, _ = child.communicate(case.to_line(), timeout=REFERENCE_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise TownsfolkError("the fp32 reference took too long") from error
    if child.returncode != 0:
        raise TownsfolkError(f"the fp32 reference failed: {last_line(log)}")
    tokens: list[list[int]] = json.loads(output)
    return tokens


def _run_rounds(loaded: Loaded, plan: WorkPlan, rounds: int, results: Results, progress: Progress) -> None:
    """In each round every system does every case, with prompts that no system has met before."""
    rows = {(program.system, shape): Row(program.system, shape) for program, _ in loaded for shape in program.shapes}
    results.rows += rows.values()
    failed: set[str] = set()
    task = progress.add_task("", total=rounds * sum(len(program.shapes) for program, _ in loaded))
    for round_index, shape, first_prompt in _schedule(plan, rounds):
        for program, system in loaded:
            if shape not in program.shapes or program.system in failed:
                continue
            progress.update(task, description=f"round {round_index + 1} of {rounds}: {program.system}, {shape}")
            try:
                answer = system.ask(_case(shape, first_prompt, plan.new_tokens))
                rows[program.system, shape].runs.append(answer.tokens_per_s)
            except ChildError as error:
                results.failures[program.system] = str(error)
                failed.add(program.system)
            progress.advance(task)


def _schedule(plan: WorkPlan, rounds: int) -> Iterator[tuple[int, Shape, int]]:
    """``(round, shape, first prompt)`` in order, each with prompts of its own."""
    prompt = plan.check_prompts
    for round_index in range(rounds):
        for shape in SHAPES:
            yield round_index, shape, prompt
            prompt += shape.streams


def _case(shape: Shape, first_prompt: int, new_tokens: int) -> Case:
    """Streams with a prompt each; the adapters go round."""
    streams = (Stream(first_prompt + i, i % shape.adapters if shape.adapters else None) for i in range(shape.streams))
    return Case(tuple(streams), new_tokens)


def _about(new_tokens: int) -> dict[str, object]:
    return {
        "machine": {
            "cpu": cpu_model(),
            "cores": len(os.sched_getaffinity(0)),
            "os": platform.platform(),
            "python": platform.python_version(),
        },
        "model": DEFAULT_MODEL.name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "prompt_tokens": PROMPT_TOKENS,
        "new_tokens": new_tokens,
        "rank": RANK,
    }


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        refresh_per_second=1,  # the bar itself must not cost what is measured
    )


if __name__ == "__main__":
    typer.run(main)
