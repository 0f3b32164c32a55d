"""What a step has to say, as the worker sends it."""

from __future__ import annotations

from townsfolk.engine.messages import Finished, Started, Step, StepTokens, Token, TokenLikelihood
from townsfolk.engine.worker import fold


def test_the_tokens_of_a_step_travel_as_one_message() -> None:
    tokens = [Token(7, 70, 5, 3, 2), Token(8, 80, 5, 3, 2), Token(9, 90, 5, 3, 2)]
    assert fold(tokens, 1234) == [StepTokens(Step(5, 3, 2, 1234), [7, 8, 9], [70, 80, 90])]


def test_likelihoods_travel_beside_the_tokens_by_line() -> None:
    likelihood = TokenLikelihood(80, -0.5, [80], [-0.5])
    tokens = [Token(7, 70, 5, 2, 1), Token(8, 80, 5, 2, 1, likelihood)]
    assert fold(tokens, 0) == [StepTokens(Step(5, 2, 1, 0), [7, 8], [70, 80], {8: likelihood})]


def test_what_a_step_says_stays_in_order() -> None:
    started, ended = Started(9, 1, 0, 0.0), Finished(7, "length", 1)
    events = [started, Token(7, 70, 5, 2, 1), ended, Token(8, 80, 5, 2, 1), Token(9, 90, 5, 2, 1)]
    step = Step(5, 2, 1, 0)
    assert fold(events, 0) == [started, StepTokens(step, [7], [70]), ended, StepTokens(step, [8, 9], [80, 90])]


def test_a_step_without_events_says_nothing() -> None:
    assert fold([], 1234) == []
