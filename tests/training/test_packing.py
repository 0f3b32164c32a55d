from __future__ import annotations

from pathlib import Path

import peft
import pytest
import torch

from tests.training.tiny_model import write_tiny_model
from townsfolk.engine.embedded.checkpoint import open_checkpoint
from townsfolk.training.base_model import build_model
from townsfolk.training.dataset import TokenisedExample
from townsfolk.training.packing import LONG_PACK_TOKENS, pack, pack_all, short_packs, summed_loss
from townsfolk.training.trainer import TARGET_MODULES

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft 0.21

PREFIX = (5, 6, 7, 8, 9, 10, 11)
EXAMPLES = [
    TokenisedExample((*PREFIX, 20, 21, 22), (30, 31, 32, 258)),
    TokenisedExample((*PREFIX, 20, 23), (33, 258)),
    TokenisedExample((*PREFIX, 24, 25, 26, 27), (34, 35, 36, 37, 38, 258)),
]


@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("most_tokens", [LONG_PACK_TOKENS, 20, 1])
def test_loss_and_gradients_equal_those_of_separate_sequences(
    tmp_path: Path, family: str, attention: str, most_tokens: int
) -> None:
    checkpoint = open_checkpoint(write_tiny_model(tmp_path / "tiny", family))
    model = build_model(checkpoint, torch.device("cpu"), torch.float32)
    model.set_attn_implementation(attention)
    torch.manual_seed(1)
    config = peft.LoraConfig(r=4, target_modules=list(TARGET_MODULES), init_lora_weights=False)
    weights = {n: p for n, p in peft.get_peft_model(model, config).named_parameters() if p.requires_grad}

    packed = torch.zeros(())
    for part in short_packs(EXAMPLES, most_tokens):
        loss = summed_loss(model, part)
        loss.backward()  # type: ignore[no-untyped-call]
        packed += loss.detach()
    gradients = {name: weight.grad.clone() for name, weight in weights.items() if weight.grad is not None}
    model.zero_grad()

    separate = torch.zeros(())
    for example in EXAMPLES:
        ids = torch.tensor([[*example.prompt, *example.reply]])
        labels = ids.clone()
        labels[0, : len(example.prompt)] = -100
        separate = separate + model(input_ids=ids, labels=labels).loss * len(example.reply)
    separate.backward()  # type: ignore[no-untyped-call]

    assert len(gradients) == len(weights) == 28
    torch.testing.assert_close(packed, separate)
    for name, weight in weights.items():
        assert weight.grad is not None
        difference = (gradients[name] - weight.grad).norm() / weight.grad.norm()
        assert difference < 1e-5, name


def test_the_prefix_stands_once_and_neighbours_are_invisible() -> None:
    packed = pack(EXAMPLES)
    assert packed.tokens == len(PREFIX) + (3 + 3) + (2 + 1) + (4 + 5)
    assert packed.position_ids[0].tolist() == [*range(7), *range(7, 13), *range(7, 10), *range(7, 16)]
    sees = packed.attention_mask[0, 0]
    assert sees[:7, :7].equal(torch.ones(7, 7, dtype=torch.bool).tril())
    assert sees[13:16, :7].all()
    assert not sees[13:16, 7:13].any()
    assert not sees[16:, 7:16].any()


def test_equal_prompts_keep_a_token_of_their_own() -> None:
    twins = [TokenisedExample((1, 2, 3), (4, 258)), TokenisedExample((1, 2, 3), (5, 258))]
    packed = pack(twins)
    assert packed.input_ids[0].tolist() == [1, 2, 3, 4, 3, 5]
    assert packed.where.tolist() == [2, 3, 4, 5]
    assert packed.targets.tolist() == [4, 258, 5, 258]


def test_packs_are_even() -> None:
    assert [p.attention_mask.shape[0] for p in pack_all(EXAMPLES, 8)] == [1]
    sizes = [len(p.targets) for p in pack_all(EXAMPLES[:1] * 9, 8)]
    assert sizes == [16, 20]


def test_long_packs_are_cut_but_no_example_is() -> None:
    assert [p.tokens for p in short_packs(EXAMPLES, 25)] == [25]
    assert [p.tokens for p in short_packs(EXAMPLES, 24)] == [13, 19]
    assert [p.tokens for p in short_packs(EXAMPLES, 1)] == [13, 10, 16]
    held_out = pack_all(EXAMPLES * 60, 180)
    assert max(p.tokens for p in held_out) <= LONG_PACK_TOKENS < sum(p.tokens for p in held_out)
