from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.tiny_model import write_tiny_model
from townsfolk.engine.embedded.checkpoint import open_checkpoint
from townsfolk.errors import InvalidArgument
from townsfolk.training.base_model import build_model, training_dtype


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_the_built_model_is_the_one_that_transformers_loads(tmp_path: Path, family: str) -> None:
    import transformers

    folder = write_tiny_model(tmp_path / "tiny", family)
    ours = build_model(open_checkpoint(folder), torch.device("cpu"), torch.float32)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert type(ours) is type(theirs)
    ids = torch.arange(40)[None]
    with torch.no_grad():
        torch.testing.assert_close(ours(input_ids=ids).logits, theirs(input_ids=ids).logits)
    assert ours.lm_head.weight is ours.model.embed_tokens.weight
    assert not any(p.requires_grad for p in ours.parameters())


def test_rotary_frequencies_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_tiny_model(tmp_path / "tiny"))
    checkpoint.inverse_frequencies = torch.tensor([1.0, 0.5, 0.25, 0.125])
    model = build_model(checkpoint, torch.device("cpu"), torch.float32)
    cos, _ = model.model.rotary_emb(torch.zeros(1), torch.tensor([[2]]))
    torch.testing.assert_close(cos[0, 0, :4], torch.tensor([2.0, 1.0, 0.5, 0.25]).cos())


def test_a_model_that_does_not_fit_its_description_is_refused(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_tiny_model(tmp_path / "tiny"))
    names = [name for name in checkpoint.names() if "layers.1.mlp.up_proj" not in name]
    checkpoint.names = lambda: iter(names)  # type: ignore[method-assign]
    with pytest.raises(InvalidArgument, match="does not fit its own description"):
        build_model(checkpoint, torch.device("cpu"), torch.float32)


def test_the_training_dtype_is_one_that_the_processor_multiplies() -> None:
    assert training_dtype(torch.device("cpu")) in (torch.bfloat16, torch.float32)
