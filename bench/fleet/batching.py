"""Continuous batching simulated step by step: how long players wait when so many of them talk to one engine.

The engine is that of Orca (Yu et al. 2022, OSDI) with chunked prefill: in every step each running line decodes one
token, and at most ``prefill_chunk`` tokens of prompts are read beside them. Only the lengths of steps are put in; what
players wait for comes out.
"""

from __future__ import annotations

import heapq
import json
import random
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class StepTimes:
    """How long a step takes.

    ``decode_s``: ``(rows, seconds)`` of steps that only decode, with an adapter of its own for as many rows as were
    measured; between two of them it is interpolated. ``prefill_s``: what each token of a prompt adds.
    """

    decode_s: tuple[tuple[int, float], ...]
    prefill_s: float

    def of(self, rows: int, prompt_tokens: int) -> float:
        """Seconds of a step in which ``rows`` lines decode and ``prompt_tokens`` are read."""
        return self._decode(rows) + prompt_tokens * self.prefill_s

    def _decode(self, rows: int) -> float:
        if rows == 0:
            return 0.0
        below = max((p for p in self.decode_s if p[0] <= rows), default=self.decode_s[0])
        above = min((p for p in self.decode_s if p[0] >= rows), default=self.decode_s[-1])
        if below[0] == above[0]:
            return below[1]
        return below[1] + (above[1] - below[1]) * (rows - below[0]) / (above[0] - below[0])


def measured_step_times(town: Path, first_token: Path) -> StepTimes:
    """From what ``townsfolk bench town`` and ``bench first-token`` wrote.

    Of every number of streams the row with most adapters counts, and its rate of drawn tokens, for that is what players
    hear. Reading the prompts is in the rates of ``bench town`` and is taken out by the time that ``bench first-token``
    found for a token of a prompt.
    """
    cold = next(row for row in _report(first_token)["rows"] if row["case"] == "cold")
    parameters = _report(first_token)
    prefill_s = cold["first_token_s"] / (parameters["persona_tokens"] + parameters["line_tokens"])
    rows = {row["streams"]: row for row in sorted(_report(town)["rows"], key=lambda row: row["adapters"])}
    decode = tuple(
        (streams, streams / row["drawn_tokens_per_s"] - streams * row["prompt_tokens"] * prefill_s / row["new_tokens"])
        for streams, row in sorted(rows.items())
    )
    return StepTimes(decode, prefill_s)


@dataclass(frozen=True)
class Talk:
    """How players talk. Times and answers are means of exponential distributions, lengths are in tokens.

    ``think_s``: from the end of an answer to the player's next line. ``prompt_tokens``: those not in the prefix cache.
    """

    think_s: float = 20.0
    prompt_tokens: int = 43
    reply_tokens: int = 40


@dataclass(frozen=True)
class Server:
    """One engine's limits, as in ``[engine]``."""

    max_running: int = 32
    prefill_chunk: int = 128


@dataclass
class Outcome:
    """What happened in ``seconds``. Lists have one value for each line that ended, in seconds."""

    players: int
    seconds: float = 0.0
    busy_s: float = 0.0
    first_token_s: list[float] = field(default_factory=list)
    line_s: list[float] = field(default_factory=list)
    tokens: int = 0
    mean_lines: float = 0.0

    @property
    def lines_per_s(self) -> float:
        return len(self.line_s) / self.seconds

    @property
    def busy(self) -> float:
        """Share of the time in which the engine computed."""
        return self.busy_s / self.seconds

    def first_token_at(self, percentile: int) -> float:
        """Seconds within which so many in a hundred lines began."""
        return _percentile(self.first_token_s, percentile)

    @property
    def tokens_per_s_of_a_line(self) -> float:
        """How fast lines are spoken once they have begun, over all of them."""
        speaking = sum(self.line_s) - sum(self.first_token_s)
        return (self.tokens - len(self.line_s)) / speaking if speaking > 0 else 0.0


@dataclass
class _Line:
    asked: float
    left_to_read: int
    left_to_say: int
    reply_tokens: int
    began: float | None = None


def simulate(
    players: int,
    talk: Talk,
    server: Server,
    steps: StepTimes,
    *,
    seconds: float = 600.0,
    warm_up_s: float = 60.0,
    seed: int = 0,
) -> Outcome:
    """Let players talk for ``warm_up_s`` and ``seconds`` more; what ends in the latter counts."""
    dice = random.Random(seed)
    asks = [(dice.expovariate(1 / talk.think_s), player) for player in range(players)]
    heapq.heapify(asks)
    waiting: deque[tuple[_Line, int]] = deque()
    running: list[tuple[_Line, int]] = []
    outcome = Outcome(players, seconds=seconds)
    now, end, present = 0.0, warm_up_s + seconds, 0.0
    while now < end:
        while asks and asks[0][0] <= now:
            asked, player = heapq.heappop(asks)
            length = max(2, round(dice.expovariate(1 / talk.reply_tokens)))
            waiting.append((_Line(asked, talk.prompt_tokens, length, length), player))
        while waiting and len(running) < server.max_running:
            running.append(waiting.popleft())
        if not running:
            if not asks:
                break
            now = asks[0][0]
            continue
        reading = _chunks([line for line, _ in running], server.prefill_chunk)
        decoding = [line for line, _ in running if line.left_to_read == 0]
        length_s = steps.of(len(decoding), sum(tokens for _, tokens in reading))
        if now >= warm_up_s:
            outcome.busy_s += length_s
            present += length_s * (len(running) + len(waiting))
        now += length_s
        for line in decoding:
            line.left_to_say -= 1
        for line, tokens in reading:
            line.left_to_read -= tokens
            if line.left_to_read == 0:  # the step that reads the end of a prompt samples the first token
                line.began = now
                line.left_to_say -= 1
        for line, player in running:
            if line.left_to_say == 0 and line.began is not None:
                heapq.heappush(asks, (now + dice.expovariate(1 / talk.think_s), player))
                if now >= warm_up_s:
                    outcome.first_token_s.append(line.began - line.asked)
                    outcome.line_s.append(now - line.asked)
                    outcome.tokens += line.reply_tokens
        running = [(line, player) for line, player in running if line.left_to_say > 0]
    outcome.mean_lines = present / seconds
    return outcome


def capacity(
    talk: Talk, server: Server, steps: StepTimes, *, first_token_p99_s: float, line_tokens_per_s: float, seed: int = 0
) -> Outcome:
    """The largest number of players for which both bounds hold, to two per cent; 0 players: not even one."""

    def holds(outcome: Outcome) -> bool:
        return (
            bool(outcome.line_s)
            and outcome.first_token_at(99) <= first_token_p99_s
            and outcome.tokens_per_s_of_a_line >= line_tokens_per_s
        )

    best = Outcome(0, seconds=1.0)
    players = step = 64
    while step:
        outcome = simulate(players, talk, server, steps, seed=seed)
        if holds(outcome):
            best = outcome
            step = step * 2 if players == step else step
            players += step
            continue
        step //= 2
        players = best.players + step
        if step * 50 < players:  # known to two per cent
            break
    return best


def _chunks(lines: Sequence[_Line], budget: int) -> list[tuple[_Line, int]]:
    """Which prompts a step reads, and how much of each: in order, up to ``budget`` tokens together."""
    chunks = []
    for line in lines:
        tokens = min(line.left_to_read, budget)
        if tokens:
            chunks.append((line, tokens))
            budget -= tokens
    return chunks


def _percentile(values: Sequence[float], percentile: int) -> float:
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[percentile - 1]


def _report(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return report
