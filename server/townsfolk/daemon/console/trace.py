"""``npc.trace``: what happened to a turn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby, pairwise
from statistics import median

from townsfolk.daemon.console import suggestions
from townsfolk.daemon.console.call import LAST, Call
from townsfolk.daemon.console.command import Command, Option, Parameter
from townsfolk.daemon.console.stats import end_in_a_word
from townsfolk.daemon.console.table import Column
from townsfolk.dialogue.events import TurnFailed
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.dialogue.trace import TurnTrace
from townsfolk.engine.messages import AdapterRef, SamplingParams
from townsfolk.wording import counted

PRIORITY_NAMES = {-1: "background", 0: "normal", 1: "urgent"}
TURN = Parameter(
    "turn",
    "id of the turn, its beginning, or last (the default)",
    "turn_id",
    required=False,
    source=suggestions.traced_turns,
)


async def trace(call: Call) -> None:
    """Print what was asked, what the engine was given, and what came of it when."""
    trace = call.town.trace(call.arguments.get("turn", LAST), call.session_id)
    output, full = call.output, call.arguments.get("full", False)
    await output.heading(f"Turn {trace.id}")
    await output.labelled(_facts(trace))
    if trace.plan is not None:
        await output.heading(f"Prompt: {_prompt_in_words(trace)}")
        columns = (Column("from", right=True), Column("tokens", right=True), Column("cached", right=True),
                   Column("segment", elastic=True))  # fmt: skip
        tokenizer = call.town.runner.prepare().tokenizer
        segments = _segments(trace.plan.prompt, trace.stats.cached_prompt_tokens, tokenizer)
        await output.table(columns, segments)
        if full:
            await output.heading("Prompt in full")
            await output.plain("".join(text for *_, text in segments))
    await output.heading("Events")
    rows = _events(trace, every_delta=full)
    await output.table(
        (Column("at (s)", right=True), Column("event", elastic=True)), [(f"{at:.3f}", what) for at, what in rows]
    )


def _facts(trace: TurnTrace) -> list[tuple[str, str]]:
    stats = trace.stats
    asked = datetime.fromtimestamp(trace.asked_unix_s).strftime("%H:%M:%S")
    ago = max(0.0, time.time() - trace.asked_unix_s)
    facts = [
        ("persona", trace.persona_id),
        ("session", trace.session_id or "none: a one-off line"),
        ("asked", f"{asked}, {ago:.0f} s ago; {PRIORITY_NAMES.get(trace.priority, trace.priority)} priority, "
                  f"within {trace.deadline_s:g} s"),
        ("player", trace.text or "says nothing"),
    ]  # fmt: skip
    if trace.situation:
        facts.append(("situation", trace.situation))
    if trace.plan is not None:
        facts.append(("adapter", _adapter_in_words(trace.plan.adapter)))
        facts.append(("sampling", sampling_in_words(trace.plan.sampling)))
        facts.append(("stop", ", ".join(map(repr, trace.plan.stops)) or "the model's own end token only"))
    facts.append(("queue", f"{stats.queue_s:.3f} s until the engine took it up"))
    if stats.last_step:
        facts.append(
            ("steps", f"{stats.first_step} to {stats.last_step}, {stats.shared_steps} of them with other adapters")
        )
        facts.append(
            ("batch", f"at most {counted(stats.max_batch_rows, 'line')} and "
                      f"{counted(stats.max_batch_adapters, 'adapter')} in a step")
        )  # fmt: skip
    facts.append(("line", trace.spoken or "nothing was said"))
    return facts


def sampling_in_words(sampling: SamplingParams) -> str:
    """`seed 7, temperature 0.7, top-p 0.95, …`, by the names of npc.say's options."""
    names = ("seed", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens")
    values = [(name.replace("_", "-"), getattr(sampling, name)) for name in names]
    return ", ".join(f"{name} {value if isinstance(value, int) else f'{value:g}'}" for name, value in values)


def _adapter_in_words(adapter: AdapterRef | None) -> str:
    if adapter is None:
        return "none: the base model speaks by the prompt alone"
    return adapter.digest[:12] + ("" if adapter.scale == 1.0 else f" at scale {adapter.scale:g}")


def _prompt_in_words(trace: TurnTrace) -> str:
    assert trace.plan is not None
    words = [counted(len(trace.plan.prompt), "token")]
    words.append(f"{trace.stats.cached_prompt_tokens} of them cached")
    words.append(f"{counted(len(trace.plan.history), 'earlier exchange')} in it")
    return ", ".join(words)


def _segments(prompt: Sequence[int], cached: int, tokenizer: TextTokenizer) -> list[tuple[str, str, str, str]]:
    """One row for each control token and for each run of text between them."""
    names = {token_id: name for name, token_id in tokenizer.control_ids.items()}
    rows = []
    start = 0
    for _, group in groupby(
        enumerate(prompt), key=lambda place: (place[1] in names, place[0] if place[1] in names else 0)
    ):
        ids = [token_id for _, token_id in group]
        text = names.get(ids[0]) or tokenizer.decode(ids)
        rows.append((str(start), str(len(ids)), str(min(len(ids), max(0, cached - start)) or ""), text))
        start += len(ids)
    return rows


def _events(trace: TurnTrace, *, every_delta: bool) -> list[tuple[float, str]]:
    stats = trace.stats
    events = [(0.0, "asked")]
    if trace.sent_s is not None:
        events.append((trace.sent_s, "prompt sent to the engine"))
    if stats.prompt_tokens:
        events.append((stats.queue_s, "taken up by the engine"))
    if stats.completion_tokens:
        events.append((stats.time_to_first_token_s, "first token"))
    events += [(at, text) for at, text in trace.deltas] if every_delta else _speech(trace.deltas)
    if trace.last is not None:
        events.append((stats.total_s, f"ended: {_end(trace)}"))
    return events


def _speech(deltas: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """The first and the last piece of speech, and how evenly the others came."""
    if not deltas:
        return []
    first = (deltas[0][0], f"first speech: {deltas[0][1]}")
    if len(deltas) == 1:
        return [first]
    gaps = [1000 * (later - earlier) for (earlier, _), (later, _) in pairwise(deltas)]
    rest = f"last of {len(deltas)} pieces, {median(gaps):.0f} ms apart (median), {max(gaps):.0f} ms at most"
    return [first, (deltas[-1][0], rest)]


def _end(trace: TurnTrace) -> str:
    word = end_in_a_word(trace)
    return f"{word}: {trace.last.error.message}" if isinstance(trace.last, TurnFailed) else word


TRACE = Command(
    name="npc.trace",
    summary="show what happened to a turn: prompt, cache, queue, batch, times",
    run=trace,
    parameters=(TURN,),
    options=(Option("full", "print the whole prompt, and every piece of speech with its time"),),
    example="npc.trace last",
)
