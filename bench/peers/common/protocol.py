"""What the orchestrator and the programs that it runs say to each other: one JSON object a line.

Standard library only, because every peer imports it in an environment of its own. A program says ``{"ready": {...}}``
(its versions) once it is loaded and warm; then each line on its standard input is a case and gets one line back.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

CPU_INFO = Path("/proc/cpuinfo")
NATIVE_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # flags of processors that multiply bf16 themselves
FIRST_TOKENS = 24  # how many tokens of each stream travel back, for comparing systems
WARM_UP_TOKENS = 8


@dataclass(frozen=True)
class Stream:
    """One line to generate: the index of its prompt in ``prompts.json`` and of its adapter; ``None`` is the base."""

    prompt: int
    adapter: int | None


@dataclass(frozen=True)
class Case:
    """Streams that are submitted together, each for exactly ``new_tokens`` greedy tokens, end tokens ignored."""

    streams: tuple[Stream, ...]
    new_tokens: int

    def to_line(self) -> str:
        return json.dumps({"case": asdict(self)}) + "\n"

    @staticmethod
    def from_line(line: str) -> Case:
        case = json.loads(line)["case"]
        return Case(tuple(Stream(**stream) for stream in case["streams"]), int(case["new_tokens"]))


@dataclass(frozen=True)
class Work:
    """The work folder: the same model, adapters and prompts for every system.

    ``base_hf`` is a Hugging Face folder in bf16 written from ``base_gguf``; ``adapters_gguf[i]`` is ``adapters[i]``.
    ``prompts`` are token ids ``[prompt][token]``; the last of them is for warming up.
    """

    base_gguf: Path
    base_hf: Path
    adapters: list[Path]
    adapters_gguf: list[Path]
    prompts: list[list[int]]
    rank: int
    max_streams: int
    context: int  # tokens of prompt and reply together, rounded up

    @staticmethod
    def read(folder: Path) -> Work:
        described = json.loads((folder / "work.json").read_text("utf-8"))
        return Work(
            base_gguf=Path(described["base_gguf"]),
            base_hf=folder / "base-hf",
            adapters=sorted((folder / "adapters").iterdir()),
            adapters_gguf=sorted((folder / "adapters-gguf").iterdir()),
            prompts=json.loads((folder / "prompts.json").read_text("utf-8")),
            rank=described["rank"],
            max_streams=described["max_streams"],
            context=described["context"],
        )


def quickest_float() -> str:
    """bfloat16 where the processor multiplies it; where it is emulated, float32 is several times quicker."""
    flags = set(CPU_INFO.read_text("utf-8").split()) if CPU_INFO.exists() else set()
    return "bfloat16" if flags & NATIVE_BF16 else "float32"


class System(Protocol):
    """A loaded engine."""

    def generate(self, case: Case) -> list[list[int]]:
        """Generate all streams of the case; returns the new token ids ``[stream][token]``, in their order."""
        ...

    def versions(self) -> dict[str, str]:
        """Versions of what does the work, by package."""
        ...


def serve(work: Work, load: Callable[[], System], warm_up: list[Case]) -> None:
    """Load, run the warm-up cases, then time one case after the other until standard input ends."""
    answers = _take_standard_output()
    system = load()
    for case in warm_up:
        system.generate(case)
    _answer(answers, {"ready": system.versions()})
    for line in sys.stdin:
        case = Case.from_line(line)
        started = time.perf_counter()
        tokens = system.generate(case)
        seconds = time.perf_counter() - started
        if [len(stream) for stream in tokens] != [case.new_tokens] * len(case.streams):
            raise RuntimeError(f"asked for {case.new_tokens} tokens a stream, got {[len(s) for s in tokens]}")
        first = [stream[:FIRST_TOKENS] for stream in tokens]
        _answer(answers, {"seconds": seconds, "tokens": sum(map(len, tokens)), "first_tokens": first})


def warm_up_cases(work: Work, shapes: list[tuple[int, int]]) -> list[Case]:
    """A short case for each ``(streams, adapters)``, on the prompt that no measurement uses."""
    last = len(work.prompts) - 1
    return [
        Case(tuple(Stream(last, i % adapters if adapters else None) for i in range(streams)), WARM_UP_TOKENS)
        for streams, adapters in shapes
    ]


def _take_standard_output() -> TextIO:
    """Keep standard output for answers alone: whatever libraries print there goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()
