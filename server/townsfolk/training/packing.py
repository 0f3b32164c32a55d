"""Several examples in one sequence, behind one copy of the prompt that they share.

All examples of a persona begin with the same system prompt, two thirds of their tokens. A pack is laid out as
``[prefix][example 1][example 2]…``; every example sees the prefix and itself, never a neighbour, and its
positions go on where the prefix ends. Loss and gradients equal those of the separate sequences, at less than
half the tokens and without padding.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from townsfolk.training.dataset import TokenisedExample

# attention looks over the whole pack and grows with its square: from here on that costs more than the prefix saves
LONG_PACK_TOKENS = 640


@dataclass(frozen=True, slots=True)
class Pack:
    """One forward pass. ``targets`` are the tokens to be predicted at the places ``where``."""

    input_ids: torch.Tensor  # [1, T]
    position_ids: torch.Tensor  # [1, T]
    attention_mask: torch.Tensor  # bool [1, 1, T, T], true where a row may look
    where: torch.Tensor  # [N] indices into T
    targets: torch.Tensor  # [N]

    @property
    def tokens(self) -> int:
        return self.input_ids.shape[1]

    def to(self, device: torch.device) -> Pack:
        return Pack(
            self.input_ids.to(device),
            self.position_ids.to(device),
            self.attention_mask.to(device),
            self.where.to(device),
            self.targets.to(device),
        )


def pack(examples: Sequence[TokenisedExample]) -> Pack:
    """Lay ``examples`` out behind their longest common prompt prefix."""
    prefix = _shared_prefix(examples)
    ids = list(examples[0].prompt[:prefix])
    positions = list(range(prefix))
    owner = [0] * prefix
    where: list[int] = []
    targets: list[int] = []
    for number, example in enumerate(examples, 1):
        own = (*example.prompt[prefix:], *example.reply[:-1])  # nothing follows the stop token
        start = len(ids) + len(example.prompt) - prefix - 1
        where += range(start, start + len(example.reply))
        targets += example.reply
        ids += own
        positions += range(prefix, prefix + len(own))
        owner += [number] * len(own)
    owners = torch.tensor(owner)
    causal = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
    mask = causal & ((owners[None, :] == 0) | (owners[None, :] == owners[:, None]))
    return Pack(
        torch.tensor([ids]),
        torch.tensor([positions]),
        mask[None, None],
        torch.tensor(where),
        torch.tensor(targets),
    )


def pack_all(examples: Sequence[TokenisedExample], size: int) -> list[Pack]:
    """Packs of at most ``size`` examples, in order, all of about the same number; long ones in more, shorter packs."""
    count = -(-len(examples) // size)
    cuts = [len(examples) * i // count for i in range(count + 1)]
    return [packed for start, end in itertools.pairwise(cuts) for packed in short_packs(examples[start:end])]


def short_packs(examples: Sequence[TokenisedExample], most_tokens: int = LONG_PACK_TOKENS) -> list[Pack]:
    """The examples, in order, in as many packs as it takes for none to be longer than ``most_tokens``.

    An example that is longer by itself has a pack of its own.
    """
    packed = pack(examples)
    if packed.tokens <= most_tokens or len(examples) == 1:
        return [packed]
    half = len(examples) // 2
    return [*short_packs(examples[:half], most_tokens), *short_packs(examples[half:], most_tokens)]


def summed_loss(model: Any, packed: Pack) -> torch.Tensor:
    """Cross entropy summed over the targets, fp32. ``model`` is a causal language model of ``transformers``.

    Vocabularies are large and most places have no target, so logits are made for the places that do.
    """
    blocked = torch.finfo(model.dtype).min
    mask = torch.zeros(packed.attention_mask.shape, dtype=model.dtype, device=packed.attention_mask.device)
    hidden = model.model(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        attention_mask=mask.masked_fill(~packed.attention_mask, blocked),
        use_cache=False,
    ).last_hidden_state
    logits = model.lm_head(hidden[0, packed.where])
    return functional.cross_entropy(logits.float(), packed.targets, reduction="sum")


def _shared_prefix(examples: Sequence[TokenisedExample]) -> int:
    """Length of the common beginning of all prompts; each prompt keeps a token of its own, the last."""
    shortest = min(len(example.prompt) for example in examples) - 1
    first = examples[0].prompt
    length = 0
    while length < shortest and all(example.prompt[length] == first[length] for example in examples):
        length += 1
    return length
