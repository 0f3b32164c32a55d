"""A persona's ``dialogue.jsonl``: read, checked, split, and tokenised exactly as the daemon will prompt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from townsfolk.dialogue.prompt import PromptBuilder
from townsfolk.errors import InvalidArgument
from townsfolk.personas.dialogue_file import DIALOGUE_FILE, parse_line, read_lines

MAX_EXAMPLES = 20_000
MIN_EXAMPLES = 10
MAX_TOKENS = 1024  # of one example, the persona's prompt included
HELD_OUT_ONE_IN = 10


@dataclass(frozen=True, slots=True)
class Example:
    """One exchange of ``dialogue.jsonl``; ``line`` is where it stands in the file."""

    situation: str
    player: str
    reply: str
    line: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the content, wherever it stands in the file."""
        return hashlib.sha256(_canonical([self.situation, self.player, self.reply])).hexdigest()

    @property
    def held_out(self) -> bool:
        """Whether this example is among the tenth that is never trained on."""
        return int(self.digest, 16) % HELD_OUT_ONE_IN == 0


@dataclass(frozen=True, slots=True)
class TokenisedExample:
    """``prompt`` ends where the character is to speak; ``reply`` ends with the template's stop token."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]


def read_dialogue(path: Path) -> list[Example]:
    """All examples of a ``dialogue.jsonl``.

    Raises ``InvalidArgument`` that names the line and what is wrong with it, ``NotFound`` where there is no file.
    """
    examples = [_example(path, number, line) for number, line in read_lines(path)]
    if not MIN_EXAMPLES <= len(examples) <= MAX_EXAMPLES:
        raise InvalidArgument(
            f"{path} has {len(examples)} examples; training takes {MIN_EXAMPLES} to {MAX_EXAMPLES}",
            field=DIALOGUE_FILE,
        )
    return examples


def split(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """``(training, held out)``. An example's side depends on its own content only: it never changes sides."""
    held_out = [example for example in examples if example.held_out]
    if not held_out:  # only in a very small file
        lowest = min(example.digest for example in examples)
        held_out = [example for example in examples if example.digest == lowest]
    sides = {example.digest for example in held_out}
    training = [example for example in examples if example.digest not in sides]
    if not training:
        raise InvalidArgument("all examples are the same or held out: nothing to train on", field=DIALOGUE_FILE)
    return training, held_out


def data_digest(system: str, examples: Sequence[Example]) -> str:
    """SHA-256 of all that a training run reads from the persona: the system prompt and the examples."""
    rows = [[example.situation, example.player, example.reply] for example in examples]
    return hashlib.sha256(_canonical([system.strip(), rows])).hexdigest()


def tokenise(examples: Sequence[Example], system: str, prompts: PromptBuilder) -> list[TokenisedExample]:
    """The examples as token ids, by the same prompt builder that the daemon serves with."""
    limit = min(MAX_TOKENS, prompts.max_context)
    tokenised = []
    for example in examples:
        prompt = prompts.encode_conversation(system, [], example.situation, example.player)
        reply = [*prompts.tokenizer.encode(prompts.template.spoken(example.reply)), prompts.stop_ids[0]]
        if len(prompt) + len(reply) > limit:
            raise InvalidArgument(
                f"{DIALOGUE_FILE}, line {example.line}: {len(prompt) + len(reply)} tokens with the persona's "
                f"prompt; {limit} are allowed",
                field=DIALOGUE_FILE,
            )
        tokenised.append(TokenisedExample(tuple(prompt), tuple(reply)))
    return tokenised


def _example(path: Path, number: int, line: str) -> Example:
    try:
        row = parse_line(line)
    except InvalidArgument as error:
        raise InvalidArgument(f"{path}, line {number}: {error.message}", field=DIALOGUE_FILE) from error
    return Example(row.situation, row.player, row.reply, number)


def _canonical(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
