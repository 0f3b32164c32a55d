"""Whether a model fits, and what would: sums that can be done by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from townsfolk.config import EngineSettings
from townsfolk.engine.gpu import Gpu, Gpus
from townsfolk.engine.tensorrt_llm.fit import OVERHEAD_BYTES, check_fit, estimate
from townsfolk.engine.tensorrt_llm.start import precision_of
from townsfolk.errors import FailedPrecondition, InvalidArgument

LLAMA_3B = {
    "hidden_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 8192,
    "max_position_embeddings": 131_072,
}
GIB = 1024**3


def model_of(folder: Path, weight_bytes: int, **config: Any) -> Path:
    """A model folder as far as its size is concerned; the weights are a hole in the file."""
    (folder / "config.json").write_text(json.dumps(LLAMA_3B | config))
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(weight_bytes)
    return folder


def card(free: int) -> Gpus:
    return Gpus([Gpu("NVIDIA GeForce RTX 3060", 12 * GIB, free, "580.95", (8, 6))], (13, 0))


def settings(**own: Any) -> EngineSettings:
    return EngineSettings.model_validate({"max_context": 2048, "max_rank": 64, "tensorrt_llm": own})


def test_the_estimate_is_the_sum_of_weights_kv_and_adapters(tmp_path: Path) -> None:
    need = estimate(model_of(tmp_path, 2_000_000_000), settings(max_gpu_adapters=4))
    assert need.weights == 2_000_000_000
    assert need.kv == 2 * 28 * 8 * 128 * 2 * 2048
    inputs_and_outputs = 3072 + 3072 + 2 * (3072 + 1024) + 3072 + 3072 + 2 * (3072 + 8192) + 8192 + 3072
    assert need.adapter == 28 * 64 * inputs_and_outputs * 2
    assert need.total == need.weights + need.kv + 4 * need.adapter + OVERHEAD_BYTES


def test_fp8_halves_the_kv_and_two_gpus_halve_everything(tmp_path: Path) -> None:
    whole = estimate(model_of(tmp_path, 2_000_000_000), settings())
    assert estimate(tmp_path, settings(kv_cache_dtype="fp8")).kv == whole.kv // 2
    shared = estimate(tmp_path, settings(tensor_parallel=2))
    assert (shared.weights, shared.kv, shared.adapter) == (whole.weights // 2, whole.kv // 2, whole.adapter // 2)


def test_fewer_adapters_are_proposed_where_that_is_enough(tmp_path: Path) -> None:
    model_of(tmp_path, 6_400_000_000)
    need = estimate(tmp_path, settings(max_gpu_adapters=1))
    with pytest.raises(FailedPrecondition, match=r"max_gpu_adapters = 1,") as raised:
        check_fit(card(need.total), tmp_path, settings(max_gpu_adapters=8))
    assert "RTX 3060" in raised.value.message
    assert check_fit(card(need.total), tmp_path, settings(max_gpu_adapters=1)) == need


def test_a_model_that_would_fit_is_named_where_this_one_cannot(tmp_path: Path) -> None:
    model_of(tmp_path, 16_100_000_000)
    with pytest.raises(FailedPrecondition, match="What would fit: an 8B model in 4 bits"):
        check_fit(card(8_000_000_000), tmp_path, settings())
    with pytest.raises(FailedPrecondition, match="stop what else uses the GPU, or use the embedded engine"):
        check_fit(card(2_000_000_000), tmp_path, settings())


@pytest.mark.parametrize("config", ["{", "[]", json.dumps({"hidden_size": 5})])
def test_a_folder_that_describes_no_model_is_refused(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InvalidArgument):
        estimate(tmp_path, settings())


@pytest.mark.parametrize(
    ("file", "content", "precision"),
    [
        ("hf_quant_config.json", {"quantization": {"quant_algo": "W4A16_AWQ"}}, "w4a16_awq"),
        ("config.json", LLAMA_3B | {"quantization_config": {"quant_method": "fp8"}}, "fp8"),
        ("config.json", LLAMA_3B | {"torch_dtype": "bfloat16"}, "bfloat16"),
    ],
)
def test_the_precision_of_a_checkpoint_is_read_from_it(
    tmp_path: Path, file: str, content: dict[str, Any], precision: str
) -> None:
    (tmp_path / file).write_text(json.dumps(content))
    assert precision_of(tmp_path) == precision
