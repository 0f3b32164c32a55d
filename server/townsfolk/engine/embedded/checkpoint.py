"""A base model on disk, whatever its format, seen as one thing: a spec, named tensors and a tokenizer.

Tensor names are those of Hugging Face ``transformers`` (``model.layers.0.self_attn.q_proj.weight``), for GGUF too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import torch

from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.errors import InvalidArgument, NotFound

UNUSED_BIAS = re.compile(r"\.(o|gate|up|down)_proj\.bias$")


class Checkpoint(Protocol):
    """An opened base model. Tensors are read on demand, so opening costs no weight memory."""

    spec: ModelSpec
    inverse_frequencies: torch.Tensor  # fp32 [head_dim / 2]
    tokenizer_json: str
    bos_id: int  # -1 where the model has none
    eos_ids: list[int]

    def tensor(self, name: str) -> torch.Tensor:
        """The dense tensor ``name``: fp32 from quantised files, else the stored dtype. Raises ``InvalidArgument``."""
        ...

    def names(self) -> Iterator[str]:
        """All tensor names."""
        ...


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a GGUF file or a Hugging Face folder.

    Raises ``NotFound`` where nothing is there and ``InvalidArgument`` for what cannot be read as a model.
    """
    from townsfolk.engine.embedded.gguf_checkpoint import GgufCheckpoint
    from townsfolk.engine.embedded.hf_checkpoint import HfCheckpoint

    if not path.exists():
        raise NotFound(
            f"no model at {path}; run `townsfolk models pull` or pass the path of a GGUF file", field="model"
        )
    if path.is_dir():
        return HfCheckpoint(path)
    if path.suffix.lower() == ".gguf":
        return GgufCheckpoint(path)
    raise InvalidArgument(f"{path} is neither a .gguf file nor a Hugging Face model folder", field="model")


def refuse_unused_biases(path: Path, names: Iterable[str]) -> None:
    """Raise ``InvalidArgument`` for a model with biases that the decoder would silently leave out."""
    for name in names:
        if UNUSED_BIAS.search(name):
            raise InvalidArgument(f"{path} has a bias that is not supported: {name}", field="model")


def fingerprint(checkpoint: Checkpoint) -> str:
    """SHA-256 over the spec and all norm weights: the same for every quantisation of one model, and for no other.

    Quantisers leave norm weights in full precision, while fine-tuning moves them; so an adapter trained on the F16
    file is known to fit the Q4 file, and not to fit another fine-tune of the same shape.
    """
    digest = hashlib.sha256()
    shape = asdict(checkpoint.spec)
    for not_a_trait in ("name", "max_context", "tied_embeddings"):
        shape.pop(not_a_trait)
    shape["family"] = shape["family"].replace("mistral", "llama")  # they compute the same
    shape["norm_eps"] = f"{checkpoint.spec.norm_eps:.3g}"
    digest.update(json.dumps(shape, sort_keys=True).encode())
    for name in sorted(checkpoint.names()):
        if name.endswith("norm.weight"):
            digest.update(name.encode())
            digest.update(checkpoint.tensor(name).to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()
