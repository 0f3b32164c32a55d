"""LoRA weights as PEFT writes them: what they amount to, and every way in which they are turned away."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from tests.engine.embedded.tiny_models import RECIPES, AdapterRecipe, rewrite_config, write_adapter, write_model
from townsfolk.engine.adapter_files import (
    CONFIG_FILE,
    TRAINING_FILE,
    WEIGHTS_FILE,
    adapter_digest,
    read_adapter_config,
)
from townsfolk.engine.embedded.checkpoint import fingerprint, open_checkpoint
from townsfolk.engine.embedded.peft_adapter import AdapterWeights, read_adapter
from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.errors import FailedPrecondition, InvalidArgument, NotFound

Q_PROJ = "base_model.model.model.layers.0.self_attn.q_proj"
MORE_RECIPES = (
    *RECIPES,
    AdapterRecipe(
        "rank_and_alpha_pattern",
        rank_pattern={r".*\.1\.mlp\.(gate|up)_proj": 32, "q_proj": 2},
        alpha_pattern={"layers.0.self_attn.q_proj": 3, "self_attn.q_proj": 7, "mlp.down_proj": 1, "down_proj": 100},
    ),
    # PEFT sorts the patterns when it saves them, and so reads them back in this order
    AdapterRecipe("first_pattern_wins", rank_pattern={"1.self_attn.o_proj": 4, "o_proj": 6, "self_attn.o_proj": 2}),
    AdapterRecipe("rslora_patterns", rank=4, rank_pattern={"v_proj": 9}, alpha_pattern={"v_proj": 5}, rslora=True),
)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model("llama3", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def base(model_folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def spec(model_folder: Path) -> ModelSpec:
    return open_checkpoint(model_folder).spec


@pytest.fixture(scope="module")
def made(base: PreTrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(base, AdapterRecipe("plain", rank=4), tmp_path_factory.mktemp("adapter"), 0, strength=0.1)


@pytest.fixture
def adapter(made: Path, tmp_path: Path) -> Path:
    """A fresh copy of a good adapter, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "adapter"))


def read(
    folder: Path, spec: ModelSpec, *, digest: str = "", max_rank: int = 64, dtype: torch.dtype = torch.float32
) -> AdapterWeights:
    return read_adapter(folder, digest or adapter_digest(folder), spec, "f" * 64, dtype, max_rank)


def rewrite_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    weights = load_file(folder / WEIGHTS_FILE)
    change(weights)
    save_file({name: tensor.clone().contiguous() for name, tensor in weights.items()}, folder / WEIGHTS_FILE)


@pytest.mark.filterwarnings("ignore:.*use_rslora.*:UserWarning")
@pytest.mark.parametrize("recipe", MORE_RECIPES, ids=lambda recipe: recipe.name)
def test_rank_scaling_and_weights_of_every_module_equal_pefts(
    base: PreTrainedModel, spec: ModelSpec, recipe: AdapterRecipe, tmp_path: Path
) -> None:
    base = copy.deepcopy(base)
    folder = write_adapter(base, recipe, tmp_path / "adapter", 3, strength=0.1)
    config = read_adapter_config(folder)
    ours = read(folder, spec)
    model = PeftModel.from_pretrained(base, folder)
    adapted = {
        name.removeprefix("base_model.model."): module
        for name, module in model.named_modules()
        if hasattr(module, "lora_A") and "default" in module.lora_A
    }
    assert len(adapted) == len(ours.pairs) == spec.num_layers * len(recipe.targets)
    for name, module in adapted.items():
        rank = module.r["default"]
        assert config.rank_of(name) == rank, name
        assert config.scaling(name, rank) == pytest.approx(module.scaling["default"], rel=1e-12), name
        layer, projection = int(name.split(".")[2]), name.split(".")[-1]
        pair = ours.pairs[layer, projection]
        assert pair.a.shape[0] == pair.b.shape[0] == rank
        torch.testing.assert_close((pair.b.t() @ pair.a), module.get_delta_weight("default"), rtol=1e-5, atol=1e-6)
    assert ours.rank == max(module.r["default"] for module in adapted.values())
    assert ours.bytes == sum(4 * pair.a.numel() + 4 * pair.b.numel() for pair in ours.pairs.values())


def test_weights_come_in_the_engines_dtype_and_scaled_before_they_are_rounded(adapter: Path, spec: ModelSpec) -> None:
    rewrite_config(adapter, lora_alpha=3)
    exact, rounded = read(adapter, spec), read(adapter, spec, dtype=torch.bfloat16)
    for where, pair in rounded.pairs.items():
        assert pair.a.dtype == pair.b.dtype == torch.bfloat16
        assert torch.equal(pair.b, exact.pairs[where].b.to(torch.bfloat16))
    assert rounded.bytes * 2 == exact.bytes


def test_an_adapter_of_another_shape_was_made_for_another_base_model(
    adapter: Path, spec: ModelSpec, tmp_path: Path
) -> None:
    wider = AutoModelForCausalLM.from_pretrained(write_model("mistral", tmp_path / "mistral"), dtype=torch.float32)
    other = write_adapter(wider, AdapterRecipe("other"), tmp_path / "other", 0, strength=0.1)
    with pytest.raises(FailedPrecondition, match=r"was made for another base model: .* has 2 layers with"):
        read(other, spec)

    def add_a_layer(weights: dict[str, torch.Tensor]) -> None:
        for side in "AB":
            weights[f"{Q_PROJ.replace('layers.0', 'layers.2')}.lora_{side}.weight"] = weights[
                f"{Q_PROJ}.lora_{side}.weight"
            ]

    rewrite_weights(adapter, add_a_layer)
    with pytest.raises(FailedPrecondition, match="was made for another base model"):
        read(adapter, spec)


def test_an_adapter_trained_for_another_model_of_the_same_shape_is_told_by_its_fingerprint(
    adapter: Path, model_folder: Path, spec: ModelSpec, tmp_path: Path
) -> None:
    twin = fingerprint(open_checkpoint(write_model("llama3", tmp_path / "twin", seed=1)))
    own = fingerprint(open_checkpoint(model_folder))
    (adapter / TRAINING_FILE).write_text(json.dumps({"base_fingerprint": own, "base_model": "smollm2"}))
    digest = adapter_digest(adapter)
    assert read_adapter(adapter, digest, spec, own, torch.float32, 64).digest == digest
    with pytest.raises(FailedPrecondition) as refused:
        read_adapter(adapter, digest, spec, twin, torch.float32, 64)
    assert "was trained for the base model smollm2" in refused.value.message
    assert own[:12] in refused.value.message
    assert twin[:12] in refused.value.message


def test_an_adapter_from_elsewhere_need_not_tell_its_base_model(adapter: Path, spec: ModelSpec) -> None:
    (adapter / TRAINING_FILE).write_text('{"epochs": 3}')
    assert read(adapter, spec).rank == 4


@pytest.mark.parametrize("content", ["{", "[]", "7", '"text"', "[" * 100_000], ids=lambda text: text[:8])
def test_a_damaged_training_record_is_refused(adapter: Path, spec: ModelSpec, content: str) -> None:
    (adapter / TRAINING_FILE).write_text(content)
    with pytest.raises(InvalidArgument, match=r"training\.json is damaged"):
        read(adapter, spec)


@pytest.mark.parametrize("file", [CONFIG_FILE, WEIGHTS_FILE])
def test_an_adapter_that_changed_on_disk_is_not_taken_for_the_one_that_was_named(
    adapter: Path, spec: ModelSpec, file: str
) -> None:
    digest = adapter_digest(adapter)
    if file == CONFIG_FILE:
        rewrite_config(adapter, lora_alpha=1)
    else:
        rewrite_weights(adapter, lambda weights: weights[f"{Q_PROJ}.lora_B.weight"].mul_(2))
    with pytest.raises(FailedPrecondition, match="has changed on disk; reload the persona"):
        read(adapter, spec, digest=digest)


def test_missing_files_are_told_apart(adapter: Path, spec: ModelSpec) -> None:
    digest = adapter_digest(adapter)
    (adapter / WEIGHTS_FILE).unlink()
    with pytest.raises(InvalidArgument, match=r"has no adapter_model\.safetensors"):
        read(adapter, spec, digest=digest)
    (adapter / CONFIG_FILE).unlink()
    with pytest.raises(NotFound, match=r"adapter_config\.json is missing"):
        read(adapter, spec, digest=digest)


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, 0.999])
def test_truncated_weights_are_refused(adapter: Path, spec: ModelSpec, kept: float) -> None:
    path = adapter / WEIGHTS_FILE
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    with pytest.raises(InvalidArgument, match="is damaged or cut short"):
        read(adapter, spec)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("side", ["A", "B"])
def test_weights_that_are_no_numbers_are_refused(adapter: Path, spec: ModelSpec, side: str, value: float) -> None:
    def spoil(weights: dict[str, torch.Tensor]) -> None:
        weights[f"{Q_PROJ}.lora_{side}.weight"][1, 2] = value

    rewrite_weights(adapter, spoil)
    with pytest.raises(InvalidArgument, match=r"has infinite or NaN weights in model\.layers\.0\.self_attn\.q_proj"):
        read(adapter, spec)


@pytest.mark.parametrize("alpha", [1e300, float("nan"), float("inf")])
def test_a_scaling_that_makes_weights_infinite_is_refused(adapter: Path, spec: ModelSpec, alpha: float) -> None:
    rewrite_config(adapter, lora_alpha=alpha)
    with pytest.raises(InvalidArgument, match="has infinite or NaN weights"):
        read(adapter, spec)


def test_weights_that_only_the_engines_dtype_cannot_hold_are_refused(adapter: Path, spec: ModelSpec) -> None:
    rewrite_weights(adapter, lambda weights: weights[f"{Q_PROJ}.lora_B.weight"].fill_(1e5))
    assert read(adapter, spec).rank == 4
    with pytest.raises(InvalidArgument, match="has infinite or NaN weights"):
        read(adapter, spec, dtype=torch.float16)


def test_weights_that_could_make_other_lines_infinite_are_refused(adapter: Path, spec: ModelSpec) -> None:
    rewrite_weights(adapter, lambda weights: weights[f"{Q_PROJ}.lora_A.weight"].neg_().sub_(1e5))
    with pytest.raises(InvalidArgument, match=r"has weights above 10000 in model\.layers\.0\.self_attn\.q_proj"):
        read(adapter, spec)


def test_a_rank_over_the_limit_is_refused_and_one_at_it_is_not(
    base: PreTrainedModel, spec: ModelSpec, tmp_path: Path
) -> None:
    recipe = AdapterRecipe("big", rank=4, rank_pattern={"layers.1.self_attn.k_proj": 24})
    folder = write_adapter(base, recipe, tmp_path / "big", 0, strength=0.1)
    assert read(folder, spec, max_rank=24).rank == 24
    with pytest.raises(InvalidArgument, match=r"has rank 24, over the limit of 23; raise engine\.max_rank or retrain"):
        read(folder, spec, max_rank=23)


def drop_half(weights: dict[str, torch.Tensor]) -> None:
    del weights[f"{Q_PROJ}.lora_B.weight"]


def narrow_a(weights: dict[str, torch.Tensor]) -> None:
    weights[f"{Q_PROJ}.lora_A.weight"] = weights[f"{Q_PROJ}.lora_A.weight"][:2]


def flatten_both(weights: dict[str, torch.Tensor]) -> None:
    for side, size in (("A", 64), ("B", 64)):
        weights[f"{Q_PROJ}.lora_{side}.weight"] = torch.zeros(size)


def deepen_b(weights: dict[str, torch.Tensor]) -> None:
    weights[f"{Q_PROJ}.lora_B.weight"] = torch.zeros(64, 4, 1)


def empty_both(weights: dict[str, torch.Tensor]) -> None:
    weights[f"{Q_PROJ}.lora_A.weight"] = torch.zeros(0, 64)
    weights[f"{Q_PROJ}.lora_B.weight"] = torch.zeros(64, 0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop_half, "has only one half of the LoRA of model.layers.0.self_attn.q_proj"),
        (narrow_a, "is inconsistent: model.layers.0.self_attn.q_proj has ranks 2 and 4, its config says 4"),
        (flatten_both, "is damaged: model.layers.0.self_attn.q_proj is (64,) x (64,)"),
        (deepen_b, "is damaged: model.layers.0.self_attn.q_proj is (64, 4, 1) x (4, 64)"),
        (empty_both, "is damaged: model.layers.0.self_attn.q_proj is (64, 0) x (0, 64)"),
        (dict.clear, "holds no LoRA weights"),
    ],
)
def test_weights_that_do_not_fit_each_other_are_refused(
    adapter: Path, spec: ModelSpec, change: Callable[[dict[str, torch.Tensor]], None], sentence: str
) -> None:
    rewrite_weights(adapter, change)
    with pytest.raises(InvalidArgument) as refused:
        read(adapter, spec)
    assert sentence in refused.value.message


@pytest.mark.parametrize(
    "key",
    [
        "base_model.model.lm_head.lora_A.weight",
        "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias",
        "base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.weight",
        "base_model.model.model.layers.0.mlp.experts.3.up_proj.lora_A.weight",
        "model.layers.0.self_attn.q_proj.lora_A.weight",
    ],
)
def test_weights_for_what_the_engine_does_not_adapt_are_refused_by_name(
    adapter: Path, spec: ModelSpec, key: str
) -> None:
    rewrite_weights(adapter, lambda weights: weights.update({key: torch.zeros(4, 64)}))
    with pytest.raises(InvalidArgument) as refused:
        read(adapter, spec)
    assert f"adapts {key}, which is not supported" in refused.value.message


def test_a_rank_that_differs_from_the_configs_is_refused(adapter: Path, spec: ModelSpec) -> None:
    rewrite_config(adapter, rank_pattern={"o_proj": 2})
    with pytest.raises(InvalidArgument, match=r"o_proj has ranks 4 and 4, its config says 2"):
        read(adapter, spec)
