"""Speaks a line into a console."""

from __future__ import annotations

from townsfolk.daemon.console.call import Call, brief_id
from townsfolk.dialogue.events import FinishReason, SpeechDelta, TurnFailed, TurnFinished
from townsfolk.dialogue.outbox import Outbox
from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.request import TurnRequest
from townsfolk.dialogue.running_turn import Turn
from townsfolk.wording import cost_in_words, counted


async def speak(call: Call, request: TurnRequest, plan: LinePlan | None = None) -> TurnFinished:
    """Ask for a line and print it as it is spoken, then what it cost. Raises what the turn failed with.

    Cancelling the call cancels the turn.
    """
    outbox = Outbox()
    turn = call.town.dialogue.admit_turn(request, outbox, call.context.time_remaining(), plan)
    begun = False
    try:
        while events := await outbox.take():
            for event in events:
                match event.what:
                    case SpeechDelta(text):
                        begun = True
                        await call.output.speech(text)
                    case TurnFinished() | TurnFailed() as last:
                        if begun:
                            await call.output.speech("\n")
                        return await _end(call, turn, last)
    finally:
        turn.cancel()  # does nothing to a turn that has ended; else the console is gone
    raise AssertionError("a turn ended without its last event")


async def _end(call: Call, turn: Turn, last: TurnFinished | TurnFailed) -> TurnFinished:
    if isinstance(last, TurnFailed):
        if turn.plan is not None:  # there is something to trace
            await call.output.detail(f"turn {brief_id(turn.id)} failed")
        raise last.error
    if last.reason is FinishReason.CANCELLED:
        await call.output.warning("the line was cancelled")
    elif last.fallback is not None:
        await call.output.warning(f"this is a fallback line of the persona's ({last.fallback})")
    elif last.reason is FinishReason.DEADLINE:
        await call.output.warning("the line was cut short: its time was up")
    elif last.reason is FinishReason.LENGTH:
        await call.output.detail("the line reached its longest length and was cut")
    elif not last.text:
        await call.output.detail("nothing was said")
    rows = f" · batch of {counted(last.stats.max_batch_rows, 'line')}" if last.stats.max_batch_rows else ""
    await call.output.detail(f"turn {brief_id(turn.id)} · {cost_in_words(last.stats)}{rows}")
    return last
