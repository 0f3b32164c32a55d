"""`bench overhead`: what the daemon, its pipes and gRPC cost, against the same lines from an engine in process."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from townsfolk.bench.alternating import WARM_UP_TOKENS
from townsfolk.bench.dialogue_client import Heard, ask_by_converse, ask_by_say, line_request
from townsfolk.bench.drive import BatchTime, DrivenEngine, EngineOptions, Progress, adapter_refs, time_together
from townsfolk.bench.figures import median, percentile, report_head, rounded
from townsfolk.bench.own_daemon import own_daemon
from townsfolk.bench.persona_folders import write_persona
from townsfolk.bench.workload import write_adapters
from townsfolk.cli.client import Target
from townsfolk.dialogue.prompt import PromptBuilder
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine.messages import AdapterRef
from townsfolk.v1.dialogue_pb2 import SayRequest

Call = Callable[[Target, Sequence[SayRequest]], Coroutine[Any, Any, Heard]]

CALLS: dict[str, Call] = {"say": ask_by_say, "converse": ask_by_converse}
SYSTEM = "Speak."  # short: of the prompt's tokens most are the player's, which no cache knows
WORDS = ("the", "old", "gate", "by", "a", "river", "was", "shut", "at", "dusk", "and", "nobody", "here", "has", "key")
CONTEXT_MARGIN = 64  # tokens: a prompt ends at the first word that makes it long enough


@dataclass(frozen=True)
class OverheadPlan:
    """Lines asked at once, LoRA rank of the adapter that each has for itself, tokens, timed rounds."""

    lines: int = 32
    rank: int = 16
    prompt_tokens: int = 43
    new_tokens: int = 100
    rounds: int = 3


@dataclass
class _Runs:
    """One call's rounds: speeds in tokens a second, and the same lines' in process."""

    daemon: list[BatchTime] = field(default_factory=list)
    in_process: list[BatchTime] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)


def bench_overhead(options: EngineOptions, plan: OverheadPlan, progress: Progress) -> dict[str, Any]:
    """The same greedy lines from an engine in process and through a daemon of its own, in turn.

    Returns ``rows``, one for ``say`` (a call for each line) and one for ``converse`` (one stream for all): speeds and
    the time from a token's sampling until the client has its text. Raises ``TownsfolkError``.
    """
    steps = len(CALLS) * plan.rounds
    progress(0, steps, "loading the model, twice")
    context = plan.prompt_tokens + CONTEXT_MARGIN + plan.new_tokens
    settings = options.settings(streams=plan.lines, adapters=plan.lines, rank=plan.rank, context=context)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="townsfolk-bench-")))
        driven = stack.enter_context(DrivenEngine.start(settings))
        head = report_head(driven.engine)
        spec = driven.engine.spec
        folders = write_adapters(folder, spec, plan.lines, plan.rank)
        cast = [f"speaker-{index:03}" for index in range(plan.lines)]
        for persona_id, adapter in zip(cast, folders, strict=True):
            write_persona(folder / "personas", persona_id, SYSTEM, adapter, spec.name)
        runner = stack.enter_context(asyncio.Runner())
        target = stack.enter_context(own_daemon(folder, settings, folder / "personas", runner))
        comparison = _Comparison(plan, driven, adapter_refs(folders), cast, target, runner)
        runs = comparison.measure(progress)
    return head | _report(plan, runs, comparison.prompt_lengths)


class _Comparison:
    """Asks for the same lines on both sides."""

    def __init__(
        self,
        plan: OverheadPlan,
        driven: DrivenEngine,
        adapters: Sequence[AdapterRef],
        cast: Sequence[str],
        target: Target,
        runner: asyncio.Runner,
    ) -> None:
        self._plan, self._driven, self._adapters = plan, driven, adapters
        self._cast, self._target, self._runner = cast, target, runner
        ready = driven.engine.ready()
        self._prompts = PromptBuilder(TextTokenizer(ready.tokenizer_json), ready.family, ready.max_context)
        self._random = random.Random(0)
        self.prompt_lengths: list[int] = []

    def measure(self, progress: Progress) -> dict[str, _Runs]:
        runs = {call: _Runs() for call in CALLS}
        steps = len(CALLS) * self._plan.rounds
        for call in CALLS:  # untimed
            self._compare(call, WARM_UP_TOKENS, _Runs(), daemon_first=False)
        for number in range(self._plan.rounds):
            for turn, call in enumerate(CALLS):
                progress(number * len(CALLS) + turn, steps, f"round {number + 1}, {call}")
                self._compare(call, self._plan.new_tokens, runs[call], daemon_first=number % 2 == 1)
        progress(steps, steps, "done")
        return runs

    def _compare(self, call: str, max_tokens: int, runs: _Runs, *, daemon_first: bool) -> None:
        """Both sides speak the same lines, words that neither has read before."""
        texts = [self._text() for _ in self._cast]
        if daemon_first:
            self._daemon(call, texts, max_tokens, runs)
        self._in_process(texts, max_tokens, runs)
        if not daemon_first:
            self._daemon(call, texts, max_tokens, runs)

    def _in_process(self, texts: Sequence[str], max_tokens: int, runs: _Runs) -> None:
        prompts = [self._prompts.build(SYSTEM, [], "", text, max_tokens=max_tokens) for text in texts]
        self.prompt_lengths += [len(prompt) for prompt in prompts]
        stop_ids = self._prompts.stop_ids
        runs.in_process.append(time_together(self._driven, prompts, self._adapters, max_tokens, stop_ids))

    def _daemon(self, call: str, texts: Sequence[str], max_tokens: int, runs: _Runs) -> None:
        pairs = zip(self._cast, texts, strict=True)
        requests = [line_request(persona_id, text, max_tokens) for persona_id, text in pairs]
        heard = self._runner.run(CALLS[call](self._target, requests))
        runs.daemon.append(heard.time)
        runs.delays_s += heard.delays_s

    def _text(self) -> str:
        """Random words that make a prompt of at least the wanted length."""
        words = [self._random.choice(WORDS)]
        while len(self._prompts.encode_conversation(SYSTEM, [], "", " ".join(words))) < self._plan.prompt_tokens:
            words.append(self._random.choice(WORDS))
        return " ".join(words)


def _report(plan: OverheadPlan, runs: dict[str, _Runs], prompt_lengths: Sequence[int]) -> dict[str, Any]:
    rows = []
    for call, done in runs.items():
        ratios = [d.tokens_per_s / i.tokens_per_s for d, i in zip(done.daemon, done.in_process, strict=True)]
        rows.append(
            {
                "call": call,
                "tokens_per_s": median([batch.tokens_per_s for batch in done.daemon]),
                "in_process_tokens_per_s": median([batch.tokens_per_s for batch in done.in_process]),
                "over_in_process": median(ratios),
                "delay_p50_s": percentile(done.delays_s, 50),
                "delay_p99_s": percentile(done.delays_s, 99),
                "tokens": [batch.tokens for batch in done.daemon],
                "in_process_tokens": [batch.tokens for batch in done.in_process],
                "runs": [rounded(batch.tokens_per_s) for batch in done.daemon],
                "in_process_runs": [rounded(batch.tokens_per_s) for batch in done.in_process],
            }
        )
    return {
        "lines": plan.lines,
        "rank": plan.rank,
        "prompt_tokens": median(prompt_lengths),
        "new_tokens": plan.new_tokens,
        "rows": rows,
    }
