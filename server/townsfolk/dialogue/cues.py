"""After a line: which emotion the persona shows, and what it does, decided by the same model.

Decisions:

- The model is asked in one more message behind the line it has just spoken, with the adapter it spoke with: so all of
  the prompt but that message is found in the prefix cache. Nobody remembers the message or its answer.
- The answer is held to a JSON schema of the persona's own emotions and actions, so that nothing else can come of it,
  whatever the player said. The message itself is of our words and the persona's, as text without control tokens.
- The likeliest answer is taken: a game that asks twice wants the same gesture twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from townsfolk.dialogue.events import ActionTaken, EmotionShown
from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.prompt import Exchange, PromptBuilder
from townsfolk.engine.interface import Engine
from townsfolk.engine.messages import SamplingParams, Started, Step, TokenLikelihood
from townsfolk.errors import FailedPrecondition
from townsfolk.personas.schema import ActionSpec, Persona

MAX_CUE_TOKENS = 128
MAX_ARGUMENT_CHARACTERS = 60  # of a text without a bound of its own, so that the answer comes to its end
UNBOUNDING_KEYS = {"type", "title", "description"}

Cue = EmotionShown | ActionTaken


@dataclass(frozen=True, slots=True)
class CueSheet:
    """What a persona may show and do. ``system`` is the prompt that its lines begin with."""

    system: str
    name: str
    emotions: tuple[str, ...]
    actions: tuple[ActionSpec, ...]

    @property
    def question(self) -> str:
        """What the model is asked once the line is spoken."""
        parts = []
        if self.emotions:
            parts.append(f"How does {self.name} feel while saying that: {_either(self.emotions)}?")
        if self.actions:
            parts.append(f"Does {self.name} do one of these things with those words?")
            parts += [f"{action.name}: {action.description}".removesuffix(": ") for action in self.actions]
            # at the very end: a small model repeats what it read last, and doing nothing is what does no harm
            nothing_done = '{"emotion": "...", "action": null}' if self.emotions else '{"action": null}'
            parts.append(f"If not, answer {nothing_done}")
        else:
            parts.append("Answer as JSON.")
        return "\n".join(parts)

    @property
    def schema(self) -> str:
        """The JSON schema of the answer."""
        properties: dict[str, Any] = {}
        if self.emotions:
            properties["emotion"] = {"type": "string", "enum": list(self.emotions)}
        if self.actions:
            properties["action"] = {"anyOf": [{"type": "null"}, *map(_action_schema, self.actions)]}
        return json.dumps(_closed(properties), default=str)  # TOML knows dates, JSON does not

    def read(self, answer: str) -> list[Cue]:
        """The cues in an answer. Raises ``FailedPrecondition`` for one that does not keep to the sheet.

        Not every engine is ours, so that the answer fits the schema is not taken on trust.
        """
        try:
            values = json.loads(answer)
            cues: list[Cue] = []
            if self.emotions:
                cues.append(EmotionShown(self.emotions[self.emotions.index(values["emotion"])]))
            if self.actions and values["action"] is not None:
                action = next(action for action in self.actions if action.name == values["action"]["name"])
                arguments = values["action"]["arguments"]
                if arguments.keys() != action.args.keys():
                    raise ValueError("other arguments than the action has")
                cues.append(ActionTaken(action.name, arguments))
        except (ValueError, LookupError, TypeError, AttributeError, StopIteration) as error:
            raise FailedPrecondition(f"the engine did not keep to the schema: {answer[:200]!r}") from error
        return cues


def cue_sheet(persona: Persona, system: str) -> CueSheet | None:
    """The sheet of a persona; ``None`` for one with neither emotions nor actions."""
    emotions = tuple(dict.fromkeys(persona.emotions))
    actions = tuple({action.name: action for action in persona.actions}.values())
    return CueSheet(system, persona.name, emotions, actions) if emotions or actions else None


async def decide_cues(
    engine: Engine, prompts: PromptBuilder, sheet: CueSheet, plan: LinePlan, spoken: Exchange, priority: int
) -> list[Cue]:
    """The cues of a line that ``plan`` asked for and that became ``spoken``. Cancelling the call cancels the question.

    Raises ``FailedPrecondition`` where no answer came, and what ``Engine.generate`` raises.
    """
    prompt = prompts.fit(sheet.system, [*plan.history, spoken], "", sheet.question, max_tokens=MAX_CUE_TOKENS)
    if not prompt.history or prompt.history[-1] is not spoken:
        raise FailedPrecondition("the context has no room left for the question after the line")
    answer = _Answer()
    finished = await engine.generate(
        prompt.ids,
        SamplingParams(temperature=0.0, max_tokens=MAX_CUE_TOKENS),
        prompts.stop_ids,
        answer,
        plan.adapter,
        priority,
        json_schema=sheet.schema,
    )
    if finished.reason != "stop":
        raise FailedPrecondition(f"the answer did not come to its end: {finished.reason}")
    return sheet.read(prompts.tokenizer.decode(answer.ids))


class _Answer:
    """Gathers the tokens of an answer; see ``LineListener``."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def started(self, started: Started) -> None:
        pass

    def sampled(self, token_id: int, step: Step, likelihood: TokenLikelihood | None = None) -> None:
        self.ids.append(token_id)


def _action_schema(action: ActionSpec) -> dict[str, Any]:
    arguments = {
        name: {**schema, "maxLength": MAX_ARGUMENT_CHARACTERS} if _is_free_text(schema) else schema
        for name, schema in action.args.items()
    }
    return _closed({"name": {"const": action.name}, "arguments": _closed(arguments)})


def _is_free_text(schema: dict[str, Any]) -> bool:
    """Whether it lets through texts of any length."""
    return schema.get("type") == "string" and schema.keys() <= UNBOUNDING_KEYS


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    """An object of exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]
