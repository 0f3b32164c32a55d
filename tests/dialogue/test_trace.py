"""The log of turns: bounded, and holding on to nothing."""

from __future__ import annotations

import gc
import weakref

from townsfolk.dialogue.events import FinishReason, TurnFailed, TurnFinished, TurnStats
from townsfolk.dialogue.outbox import Outbox
from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.running_turn import Turn
from townsfolk.dialogue.session import SessionStore
from townsfolk.dialogue.trace import TraceLog
from townsfolk.engine.messages import SamplingParams
from townsfolk.errors import Unavailable

FINISHED = TurnFinished(FinishReason.STOP, "Aye.", TurnStats())


def turn(turn_id: str, prompt_tokens: int = 10) -> Turn:
    plan = LinePlan(list(range(prompt_tokens)), SamplingParams(), [], None)
    return Turn(turn_id, "smith", None, Outbox(), plan=plan)


def test_only_the_newest_turns_are_kept() -> None:
    log = TraceLog(most=3)
    for number in range(5):
        log.keep(turn(str(number)), FINISHED)
    assert [trace.id for trace in log] == ["2", "3", "4"]


def test_long_prompts_push_out_more_turns_but_never_the_newest() -> None:
    log = TraceLog(most=100, most_prompt_tokens=1000)
    for number in range(20):
        log.keep(turn(str(number), 100), FINISHED)
    assert [trace.id for trace in log] == [str(number) for number in range(10, 20)]
    log.keep(turn("long", 5000), FINISHED)
    assert [trace.id for trace in log] == ["long"]
    log.keep(turn("short", 5), FINISHED)
    assert [trace.id for trace in log] == ["short"]


def test_a_kept_turn_holds_neither_its_session_nor_where_its_error_came_from() -> None:
    sessions = SessionStore(1, 1)
    session = sessions.open(["smith"], session_id="s", player_name="Mira")
    failed = Turn("t", "smith", session, Outbox())
    try:
        raise Unavailable("the engine is gone")
    except Unavailable as error:
        log = TraceLog()
        log.keep(failed, TurnFailed(error))
    gone = weakref.ref(failed.outbox)
    sessions.close("s")
    del failed, session
    gc.collect()
    assert gone() is None
    (trace,) = log
    assert (trace.session_id, trace.player_name) == ("s", "Mira")
    assert isinstance(trace.last, TurnFailed)
    assert trace.last.error.__traceback__ is None
    assert trace.last.error.message == "the engine is gone"
