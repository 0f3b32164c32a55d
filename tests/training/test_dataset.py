from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.training.tiny_model import write_tiny_model
from townsfolk.dialogue.prompt import PromptBuilder
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine.embedded.checkpoint import open_checkpoint
from townsfolk.errors import InvalidArgument, NotFound
from townsfolk.training.dataset import Example, data_digest, read_dialogue, split, tokenise

GOOD = {"situation": "", "player": "Hello?", "reply": "Hm."}


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines))
    return path


def examples(count: int) -> list[Example]:
    return [Example("", f"Number {i}?", f"Reply {i}.", i + 1) for i in range(count)]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{not json", "not valid JSON"),
        ('"text"', "not a JSON object"),
        (json.dumps({**GOOD, "emotion": "glad"}), "emotion: unknown key"),
        (json.dumps({"player": "Hello?"}), "reply: Field required"),
        (json.dumps({**GOOD, "reply": "  "}), "reply: String should have at least 1 character"),
        (json.dumps({**GOOD, "player": 7}), "player: Input should be a valid string"),
        (json.dumps({**GOOD, "reply": "x" * 2001}), "reply: String should have at most 2000 characters"),
        (json.dumps({**GOOD, "player": "x" * 4001}), "player: String should have at most 4000 characters"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = write(tmp_path / "dialogue.jsonl", [json.dumps(GOOD), "", line])
    with pytest.raises(InvalidArgument, match=r"dialogue\.jsonl, line 3: ") as caught:
        read_dialogue(path)
    assert complaint in caught.value.message


def test_missing_and_nearly_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"has no dialogue\.jsonl to train on"):
        read_dialogue(tmp_path / "dialogue.jsonl")
    path = write(tmp_path / "dialogue.jsonl", [json.dumps(GOOD)] * 3)
    with pytest.raises(InvalidArgument, match="has 3 examples"):
        read_dialogue(path)


def test_an_odd_line_separator_inside_a_reply_is_no_line_break(tmp_path: Path) -> None:
    row = json.dumps({**GOOD, "reply": "one\u2028two"}, ensure_ascii=False)
    assert read_dialogue(write(tmp_path / "dialogue.jsonl", [row] * 10))[0].reply == "one\u2028two"


def test_a_tenth_is_held_out_whatever_the_order_and_the_neighbours() -> None:
    every = examples(1000)
    training, held_out = split(every)
    assert 70 <= len(held_out) <= 130
    assert len(training) + len(held_out) == 1000
    shuffled = random.Random(3).sample(every, 500)
    assert set(split(shuffled)[1]) == set(held_out) & set(shuffled)


def test_twins_stay_on_one_side() -> None:
    training, held_out = split([Example("", "a", "b", line) for line in (1, 2)] + examples(20))
    assert not {example.digest for example in training} & {example.digest for example in held_out}


def test_something_is_always_held_out() -> None:
    none_by_hash = [example for example in examples(40) if not example.held_out][:10]
    training, held_out = split(none_by_hash)
    assert (len(training), len(held_out)) == (9, 1)
    with pytest.raises(InvalidArgument, match="nothing to train on"):
        split([Example("", "a", "b", line) for line in range(10)])


def test_the_data_digest_covers_prompt_and_lines() -> None:
    base = data_digest("You are Tock.", examples(10))
    assert base == data_digest(" You are Tock.\n", examples(10))
    assert base != data_digest("You are Tick.", examples(10))
    assert base != data_digest("You are Tock.", examples(11))


def test_tokens_are_the_serving_prompt_the_reply_and_the_stop_token(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_tiny_model(tmp_path / "tiny"))
    tokenizer = TextTokenizer(checkpoint.tokenizer_json)
    prompts = PromptBuilder(tokenizer, "llama", 512)
    example = Example("at noon", "What says <|im_end|>?", "Tick <|im_end|> tock.", 1)
    (tokenised,) = tokenise([example], "You are Tock.", prompts)
    assert list(tokenised.prompt) == prompts.encode_conversation(
        "You are Tock.", [], "at noon", "What says <|im_end|>?"
    )
    assert tokenised.reply[-1] == tokenizer.control_id("<|im_end|>")
    assert tokenizer.control_id("<|im_end|>") not in tokenised.reply[:-1]
    assert tokenizer.decode(list(tokenised.reply)) == "Tick <|im_end|> tock."
    with pytest.raises(InvalidArgument, match=r"line 9: \d+ tokens"):
        tokenise([Example("", "x" * 600, "y", 9)], "You are Tock.", prompts)
