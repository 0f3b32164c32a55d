"""PEFT LoRA weights read, checked against the base model and made ready for the adapter pool."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from townsfolk.engine.adapter_files import (
    TRAINING_FILE,
    WEIGHTS_FILE,
    AdapterConfig,
    adapter_digest,
    read_adapter_config,
)
from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.errors import FailedPrecondition, InvalidArgument

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
MAX_A_WEIGHT = 10_000.0  # far above any trained one, far below what could make a product with an activation infinite
WEIGHT_KEY = re.compile(
    r"^base_model\.model\.(?P<module>model\.layers\.(?P<layer>\d+)\.(?:self_attn|mlp)\.(?P<projection>\w+))"
    r"\.lora_(?P<side>[AB])\.weight$"
)


@dataclass(frozen=True, slots=True)
class LoraPair:
    """``a`` is ``[rank, in]``, ``b`` is ``[rank, out]`` (transposed, scaling folded in)."""

    a: torch.Tensor
    b: torch.Tensor


@dataclass(frozen=True, slots=True)
class AdapterWeights:
    """An adapter in host memory. ``pairs`` is keyed by ``(layer, projection)``; ``rank`` is the largest in it."""

    digest: str
    rank: int
    pairs: dict[tuple[int, str], LoraPair]

    @property
    def bytes(self) -> int:
        return sum(p.a.nbytes + p.b.nbytes for p in self.pairs.values())


def read_adapter(
    folder: Path, digest: str, spec: ModelSpec, fingerprint: str, dtype: torch.dtype, max_rank: int
) -> AdapterWeights:
    """Read the adapter in ``folder`` and check that it is the one named ``digest`` and fits the base model.

    Raises ``InvalidArgument`` for a damaged or unsupported adapter, ``FailedPrecondition`` for one that was made for
    another base model or that changed on disk since it was named, ``NotFound`` where there is none.
    """
    config = read_adapter_config(folder)
    _check_base_model(folder, fingerprint)
    if adapter_digest(folder) != digest:
        raise FailedPrecondition(f"the adapter at {folder} has changed on disk; reload the persona", field="adapter")
    pairs: dict[tuple[int, str], LoraPair] = {}
    for (layer, projection, module), (a, b) in _read_sides(folder / WEIGHTS_FILE).items():
        pairs[layer, projection] = _checked_pair(folder, spec, config, layer, projection, module, a, b, dtype)
    if not pairs:
        raise InvalidArgument(f"the adapter at {folder} holds no LoRA weights", field="adapter")
    rank = max(pair.a.shape[0] for pair in pairs.values())
    if rank > max_rank:
        raise InvalidArgument(
            f"the adapter at {folder} has rank {rank}, over the limit of {max_rank}; raise engine.max_rank or retrain",
            field="adapter",
        )
    return AdapterWeights(digest=digest, rank=rank, pairs=pairs)


def _check_base_model(folder: Path, fingerprint: str) -> None:
    path = folder / TRAINING_FILE
    if not path.exists():
        return  # an adapter from elsewhere: its shapes are all there is to go by
    try:
        record = json.loads(path.read_text("utf-8"))
        made_for = record.get("base_fingerprint", fingerprint)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, AttributeError) as error:
        raise InvalidArgument(f"{path} is damaged: {error}", field="adapter") from error
    if made_for != fingerprint:
        raise FailedPrecondition(
            f"the adapter at {folder} was trained for the base model {record.get('base_model', 'of another name')!s} "
            f"({str(made_for)[:12]}), not for the one loaded ({fingerprint[:12]}); train it again for this one",
            field="adapter",
        )


def _read_sides(path: Path) -> dict[tuple[int, str, str], tuple[torch.Tensor, torch.Tensor]]:
    sides: dict[tuple[int, str, str], dict[str, torch.Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118  (safe_open is no dict)
                match = WEIGHT_KEY.match(key)
                if match is None or match["projection"] not in PROJECTIONS:
                    raise InvalidArgument(f"{path} adapts {key}, which is not supported", field="adapter")
                where = (int(match["layer"]), match["projection"], match["module"])
                sides.setdefault(where, {})[match["side"]] = file.get_tensor(key)
    except (SafetensorError, OSError) as error:
        raise InvalidArgument(f"{path} is damaged or cut short: {error}", field="adapter") from error
    for (_, _, module), found in sides.items():
        if set(found) != {"A", "B"}:
            raise InvalidArgument(f"{path} has only one half of the LoRA of {module}", field="adapter")
    return {where: (found["A"], found["B"]) for where, found in sides.items()}


def _checked_pair(
    folder: Path,
    spec: ModelSpec,
    config: AdapterConfig,
    layer: int,
    projection: str,
    module: str,
    a: torch.Tensor,
    b: torch.Tensor,
    dtype: torch.dtype,
) -> LoraPair:
    out_features, in_features = spec.projection_shape(projection)
    if a.dim() != 2 or b.dim() != 2 or a.shape[0] == 0:
        raise InvalidArgument(
            f"the adapter at {folder} is damaged: {module} is {tuple(b.shape)} x {tuple(a.shape)}", field="adapter"
        )
    if layer >= spec.num_layers or a.shape[-1] != in_features or b.shape[0] != out_features:
        raise FailedPrecondition(
            f"the adapter at {folder} was made for another base model: {module} is {tuple(b.shape)} x {tuple(a.shape)} "
            f"there, but {spec.name} has {spec.num_layers} layers with {out_features} x {in_features}",
            field="adapter",
        )
    rank = a.shape[0]
    if b.shape[1] != rank or config.rank_of(module) != rank:
        raise InvalidArgument(
            f"the adapter at {folder} is inconsistent: {module} has ranks {rank} and {b.shape[1]}, its config says "
            f"{config.rank_of(module)}",
            field="adapter",
        )
    scaled = b.to(torch.float32).t() * config.scaling(module, rank)
    pair = LoraPair(a=a.to(dtype).contiguous(), b=scaled.to(dtype).contiguous())
    # Checked as they will be multiplied. All rows of a step meet all adapters' weights, and what is not a row's own is
    # multiplied by zero; an infinite product would get through that as NaN.
    largest_a, largest_b = pair.a.abs().max().item(), pair.b.abs().max().item()
    if not (math.isfinite(largest_a) and math.isfinite(largest_b)):
        raise InvalidArgument(f"the adapter at {folder} has infinite or NaN weights in {module}", field="adapter")
    if largest_a > MAX_A_WEIGHT:
        raise InvalidArgument(
            f"the adapter at {folder} has weights above {MAX_A_WEIGHT:.0f} in {module}, as no training makes them",
            field="adapter",
        )
    return pair
