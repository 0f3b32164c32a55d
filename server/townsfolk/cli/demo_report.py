"""What came of the demo, in numbers."""

from __future__ import annotations

from typing import Any

from townsfolk.cli.demo_view import Round
from townsfolk.cli.plain import to_plain
from townsfolk.v1.daemon_pb2 import GetStatsResponse


def town_summary(rounds: list[Round], before: GetStatsResponse, after: GetStatsResponse) -> dict[str, Any]:
    """What the town did as a whole between the two statistics. Times in seconds, the share from 0 to 1."""
    stats = [line.stats for scene in rounds for line in scene.lines if line.stats is not None]
    speaking_s = sum(scene.duration_s for scene in rounds)
    tokens = sum(turn.completion_tokens for turn in stats)
    steps = {bucket.adapters_in_step: bucket.steps for bucket in after.engine.step_histogram}
    for bucket in before.engine.step_histogram:
        steps[bucket.adapters_in_step] = steps.get(bucket.adapters_in_step, 0) - bucket.steps
    all_steps = sum(steps.values())
    shared = sum(number for adapters, number in steps.items() if adapters >= 2)
    return {
        "tokens": tokens,
        "speaking_s": round(speaking_s, 3),
        "tokens_per_s": round(tokens / speaking_s, 2) if speaking_s else 0.0,
        "largest_batch_rows": max((turn.max_batch_rows for turn in stats), default=0),
        "largest_batch_adapters": max((turn.max_batch_adapters for turn in stats), default=0),
        "decode_steps": all_steps,
        "shared_step_share": round(shared / all_steps, 4) if all_steps else 0.0,
        "prompt_tokens": sum(turn.prompt_tokens for turn in stats),
        "cached_prompt_tokens": sum(turn.cached_prompt_tokens for turn in stats),
    }


def as_json_report(rounds: list[Round], before: GetStatsResponse, summary: dict[str, Any]) -> dict[str, Any]:
    """Every line with its numbers, the model they are from, and the town as a whole."""
    lines = [
        {
            "round": scene.number,
            "persona_id": line.persona_id,
            "name": line.name,
            "situation": line.situation,
            "question": line.question,
            "text": line.text,
            "fallback": line.fallback,
            "error": line.error,
            "stats": to_plain(line.stats) if line.stats is not None else None,
        }
        for scene in rounds
        for line in scene.lines
    ]
    return {"model": to_plain(before.model), "lines": lines, "town": summary}
