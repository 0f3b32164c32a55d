"""The text of one line while it is being spoken: tokens in, clean pieces of text out.

Between the sampled tokens and the player stand four rules: no code point is split, no stop string or part of one is
shown, no white space leads or trails, and what was handed out is never taken back.
"""

from __future__ import annotations

from collections.abc import Sequence

from townsfolk.dialogue.events import SpeechDelta
from townsfolk.dialogue.tokenizer import StreamingDecoder, TextTokenizer
from townsfolk.engine.messages import TokenLikelihood


class SpokenLine:
    """Turns the tokens of one line into text to hand out.

    White space at the beginning is dropped before stop strings are looked for, so that a persona which stops at a
    line break is not silenced by a model that begins with one. White space that may turn out to be the end of the line
    waits for the next word.

    Args:
        tokenizer: of the model that speaks.
        stops: strings that end the line; they are not part of it.
    """

    def __init__(self, tokenizer: TextTokenizer, stops: Sequence[str] = ()) -> None:
        self._decoder = StreamingDecoder(tokenizer)
        self._control_ids = frozenset(tokenizer.control_ids.values())
        self._stops = [stop for stop in stops if stop]
        self._waiting = ""  # decoded, but perhaps the beginning of a stop string or the end of the line
        self._waiting_tokens = 0
        self._sampled_unix_ns = 0
        self._waiting_likelihoods: tuple[TokenLikelihood, ...] = ()
        self._given: list[str] = []
        self._ids: list[int] = []
        self._torn = False
        self.finished_by_stop = False
        self.complete = False

    @property
    def text(self) -> str:
        """All deltas so far, put together."""
        return "".join(self._given)

    @property
    def unspoken(self) -> tuple[TokenLikelihood, ...]:
        """Likelihoods of the tokens behind no delta: once the line has ended, those that never became text."""
        return self._waiting_likelihoods

    @property
    def reply_ids(self) -> tuple[int, ...]:
        """The tokens as sampled, for the history; empty if they say anything but ``text``.

        That is so for a line that did not come to its end, was cut at a stop string or in the middle of a character,
        or holds a control token, which must not get into a later prompt.
        """
        if not self.complete or self.finished_by_stop or self._torn or not self._control_ids.isdisjoint(self._ids):
            return ()
        return tuple(self._ids)

    def push(
        self, token_id: int, sampled_unix_ns: int = 0, likelihood: TokenLikelihood | None = None
    ) -> SpeechDelta | None:
        """Take a token; returns what can be handed out now. Nothing may follow once ``finished_by_stop`` is set."""
        self._ids.append(token_id)
        if likelihood is not None:
            self._waiting_likelihoods += (likelihood,)
        self._waiting_tokens += 1
        self._sampled_unix_ns = sampled_unix_ns
        self._waiting += self._decoder.push(token_id)
        if not self._given:
            self._waiting = self._waiting.lstrip()
        if not self._stops:
            return self._give(len(self._waiting))
        end = self._first_stop()
        if end is not None:
            self.finished_by_stop = True
            self.complete = True
            return self._give(end)
        return self._give(len(self._waiting) - self._possible_stop())

    def finish(self, stop_token: TokenLikelihood | None = None) -> SpeechDelta | None:
        """The line has ended by itself: what was held back is text after all.

        A character whose last bytes never came is left out rather than shown as a replacement mark. ``stop_token`` is
        what ended the line; it is never text.
        """
        if self.complete:
            return None
        self.complete = True
        self._torn = bool(self._decoder.flush())
        delta = self._give(len(self._waiting))
        if stop_token is not None:
            self._waiting_likelihoods += (stop_token,)
        return delta

    def _first_stop(self) -> int | None:
        found = [at for at in (self._waiting.find(stop) for stop in self._stops) if at >= 0]
        return min(found, default=None)

    def _possible_stop(self) -> int:
        """Length of the longest end of the waiting text that a stop string begins with."""
        longest = 0
        for stop in self._stops:
            for length in range(min(len(stop) - 1, len(self._waiting)), longest, -1):
                if self._waiting.endswith(stop[:length]):
                    longest = length
                    break
        return longest

    def _give(self, length: int) -> SpeechDelta | None:
        text = self._waiting[:length].rstrip()
        if not text:
            return None
        delta = SpeechDelta(text, self._waiting_tokens, self._sampled_unix_ns, self._waiting_likelihoods)
        self._waiting = self._waiting[len(text) :]
        self._waiting_tokens = 0
        self._waiting_likelihoods = ()
        self._given.append(text)
        return delta
