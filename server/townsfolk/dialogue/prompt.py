"""From a persona, a history and a player's line to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from townsfolk.dialogue.template import ChatTemplate, Ids, Message, Text, encode, template_for
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.errors import InvalidArgument

HISTORY_STEPS = 4  # history is dropped by this fraction of its room: fewer is steadier, more remembers longer


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids that end where the character is to speak, and the part of the history that is among them."""

    ids: list[int]
    history: Sequence[Exchange]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A finished turn: what the player said, and what the character answered.

    ``reply_ids`` are the reply's tokens as sampled, empty where they are not known (a restored save, a cut line).
    """

    situation: str
    player: str
    reply: str
    reply_ids: tuple[int, ...] = ()


class PromptBuilder:
    """Builds prompts for one model.

    Args:
        tokenizer: of the model.
        family: of the model (``ModelSpec.family``).
        max_context: tokens that prompt and reply may fill together.
    """

    def __init__(self, tokenizer: TextTokenizer, family: str, max_context: int) -> None:
        self.tokenizer = tokenizer
        self.template: ChatTemplate = template_for(family, tokenizer)
        self.stop_ids = [tokenizer.control_id(token) for token in self.template.stop_tokens]
        self.max_context = max_context

    def check_reply(self, max_tokens: int) -> None:
        """Raise ``InvalidArgument`` for a reply so long that it leaves no room for any prompt."""
        if max_tokens >= self.max_context:
            raise InvalidArgument(
                f"a reply of {max_tokens} tokens leaves no room for a prompt in a context of {self.max_context}",
                field="sampling.max_tokens",
            )

    def build(
        self, system: str, history: Sequence[Exchange], situation: str, player: str, *, max_tokens: int
    ) -> list[int]:
        """The ids of ``fit``."""
        return self.fit(system, history, situation, player, max_tokens=max_tokens).ids

    def fit(self, system: str, history: Sequence[Exchange], situation: str, player: str, *, max_tokens: int) -> Prompt:
        """A prompt that leaves room for a reply of ``max_tokens``.

        Where all of the history does not fit, its oldest exchanges are left out, a quarter of its room at a time: so
        the beginning of the prompt, and with it the prefix cache, stays the same over many turns. Raises
        ``InvalidArgument`` if the line does not fit even without history.
        """
        room = self.max_context - max_tokens
        ids = self.encode_conversation(system, history, situation, player)
        if len(ids) <= room:
            return Prompt(ids, history)
        bare = len(self.encode_conversation(system, [], situation, player))
        if bare > room:
            raise InvalidArgument(
                f"the line is too long: {bare} tokens with the persona's prompt, but only {room} fit beside "
                f"a reply of {max_tokens}",
                field="text",
            )
        history_room = room - len(self.encode_conversation(system, [], "", ""))  # the same in every turn
        step = max(1, history_room // HISTORY_STEPS)
        excess = -(-(len(ids) - room) // step) * step
        dropped = 0
        while len(ids) > room:
            while excess > 0 and dropped < len(history):
                excess -= self._length(history[dropped])
                dropped += 1
            ids = self.encode_conversation(system, history[dropped:], situation, player)
            excess = len(ids) - room  # only where lengths do not quite add up
        return Prompt(ids, history[dropped:])

    def _length(self, exchange: Exchange) -> int:
        """Tokens that an exchange adds to a prompt."""
        return len(self.encode_conversation("", [exchange], "", "")) - len(self.encode_conversation("", [], "", ""))

    def encode_conversation(self, system: str, history: Sequence[Exchange], situation: str, player: str) -> list[int]:
        messages = [Message("system", Text(system.strip()))] if system.strip() else []
        for past in history:
            messages.append(Message("user", Text(user_content(past.situation, past.player))))
            messages.append(Message("assistant", Ids(past.reply_ids) if past.reply_ids else Text(past.reply)))
        messages.append(Message("user", Text(user_content(situation, player))))
        return encode(self.template.render(messages), self.tokenizer)


def user_content(situation: str, player: str) -> str:
    """What stands in the user's message: the scene in parentheses, then the spoken words."""
    return f"({situation.strip()}) {player.strip()}" if situation.strip() else player.strip()
