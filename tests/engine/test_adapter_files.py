"""What is read from a PEFT config, and what is refused before any weight is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig

from townsfolk.engine.adapter_files import (
    CONFIG_FILE,
    MAX_CHOOSING_PATTERNS,
    MAX_CONFIG_BYTES,
    MAX_PATTERNS,
    REFUSED_WHEN_SET,
    WEIGHTS_FILE,
    adapter_digest,
    read_adapter_config,
)
from townsfolk.errors import InvalidArgument, NotFound

MODULE = "model.layers.3.self_attn.q_proj"


def write(folder: Path, **changes: Any) -> Path:
    """An adapter folder with PEFT's own config, changed, and any weights."""
    LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj"], task_type="CAUSAL_LM").save_pretrained(folder)
    path = folder / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    (folder / WEIGHTS_FILE).write_bytes(b"weights")
    return folder


def test_a_plain_peft_config_is_read(tmp_path: Path) -> None:
    config = read_adapter_config(write(tmp_path))
    assert (config.rank, config.alpha, config.use_rslora) == (8, 16.0, False)
    assert config.rank_of(MODULE) == 8
    assert config.scaling(MODULE, 8) == 2.0


def test_the_digest_changes_with_the_config_and_with_the_weights_and_with_nothing_else(tmp_path: Path) -> None:
    folder = write(tmp_path)
    first = adapter_digest(folder)
    (folder / "training.json").write_text("{}")
    assert adapter_digest(folder) == first
    (folder / WEIGHTS_FILE).write_bytes(b"Weights")
    other_weights = adapter_digest(folder)
    (folder / WEIGHTS_FILE).write_bytes(b"weights")
    assert adapter_digest(folder) == first
    write(folder, lora_alpha=17)
    other_config = adapter_digest(folder)
    assert len({first, other_weights, other_config}) == 3
    assert len(first) == 64


def test_the_digest_is_not_fooled_by_moving_bytes_between_the_files(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_bytes(b"ab")
    (tmp_path / WEIGHTS_FILE).write_bytes(b"c")
    first = adapter_digest(tmp_path)
    (tmp_path / CONFIG_FILE).write_bytes(b"a")
    (tmp_path / WEIGHTS_FILE).write_bytes(b"bc")
    assert adapter_digest(tmp_path) != first


@pytest.mark.parametrize("missing", [CONFIG_FILE, WEIGHTS_FILE])
def test_an_adapter_that_lacks_a_file_has_no_digest(tmp_path: Path, missing: str) -> None:
    (write(tmp_path) / missing).unlink()
    with pytest.raises(NotFound, match=f"{missing} is missing"):
        adapter_digest(tmp_path)


def test_a_folder_without_an_adapter_is_not_found_and_pickled_weights_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no adapter at .*: adapter_config\.json is missing"):
        read_adapter_config(tmp_path / "nowhere")
    folder = write(tmp_path)
    (folder / WEIGHTS_FILE).rename(folder / "adapter_model.bin")
    with pytest.raises(InvalidArgument, match=r"has no adapter_model\.safetensors; only safetensors weights are read"):
        read_adapter_config(folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"use_dora": True}, "uses DoRA (use_dora), which is not supported; train without it"),
        ({"modules_to_save": ["lm_head"]}, "uses fully trained modules (modules_to_save), which is not supported"),
        ({"lora_bias": True}, "uses LoRA biases (lora_bias), which is not supported"),
        ({"trainable_token_indices": [7]}, "uses trained token embeddings (trainable_token_indices), which is"),
        ({"alora_invocation_tokens": [1, 2]}, "uses activated LoRA (alora_invocation_tokens), which is not supported"),
        ({"layer_replication": [[0, 2], [1, 3]]}, "uses layer replication (layer_replication), which is not"),
        ({"use_qalora": True}, "uses QA-LoRA (use_qalora), which is not supported"),
        ({"arrow_config": {"top_k": 3}}, "uses Arrow routing (arrow_config), which is not supported"),
        ({"use_bdlora": {"nblocks": 2}}, "uses block-diagonal LoRA (use_bdlora), which is not supported"),
        ({"kasa_config": {"beta": 1e-4}}, "uses KaSA (kasa_config), which is not supported"),
        ({"bias": "all"}, "trains biases (bias='all'), which is not supported"),
        ({"bias": "lora_only"}, "trains biases (bias='lora_only'), which is not supported"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa', which changes the base model too"),
        ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights='pissa_niter_16', which changes the base"),
        ({"init_lora_weights": "olora"}, "init_lora_weights='olora', which changes the base model too"),
        ({"init_lora_weights": "corda"}, "init_lora_weights='corda', which changes the base model too"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights='loftq', which changes the base model too"),
        ({"init_lora_weights": "lora_ga"}, "init_lora_weights='lora_ga', which changes the base model too"),
        ({"peft_type": "IA3"}, "is of type IA3; only LORA adapters are supported"),
        ({"peft_type": None}, "is of type None; only LORA adapters are supported"),
    ],
    ids=lambda value: "-".join(map(str, next(iter(value.items())))) if isinstance(value, dict) else "",
)
def test_what_changes_the_arithmetic_is_refused_with_its_name(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_adapter_config(write(tmp_path, **changes))
    assert sentence in refused.value.message
    assert refused.value.field == "adapter"


@pytest.mark.parametrize("start", [True, False, "gaussian", "eva", "orthogonal"])
def test_ways_to_start_that_leave_the_base_model_alone_are_accepted(tmp_path: Path, start: bool | str) -> None:
    assert read_adapter_config(write(tmp_path, init_lora_weights=start)).rank == 8


def test_every_refused_feature_is_one_that_peft_knows() -> None:
    fields = set(LoraConfig.__dataclass_fields__)
    assert set(REFUSED_WHEN_SET) <= fields


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{not json", "is not valid JSON"),
        (b"\xff\xfe{}", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[]", "does not hold a JSON object"),
        (b'{"peft_type": "LORA", "lora_alpha": 16}', "lacks 'r'"),
        (b'{"peft_type": "LORA", "r": 8}', "lacks 'lora_alpha'"),
        (b'{"peft_type": "LORA", "r": "eight", "lora_alpha": 16}', "has a value of the wrong kind"),
        (b'{"peft_type": "LORA", "r": null, "lora_alpha": 16}', "has a value of the wrong kind"),
        (b'{"peft_type": "LORA", "r": Infinity, "lora_alpha": 16}', "has a value of the wrong kind"),
        (b'{"peft_type": "LORA", "r": 0, "lora_alpha": 16}', "has a rank below 1"),
        (b'{"peft_type": "LORA", "r": 8, "lora_alpha": 1, "rank_pattern": {"q": -1}}', "has a rank below 1"),
        (b'{"peft_type": "LORA", "r": 8, "lora_alpha": 1, "rank_pattern": ["q"]}', "has a value of the wrong kind"),
        (b'{"peft_type": "LORA", "r": 8, "lora_alpha": 1, "alpha_pattern": 7}', "has a value of the wrong kind"),
        (b'{"peft_type": "LORA", "r": 8, "lora_alpha": 1, "alpha_pattern": {"q": []}}', "of the wrong kind"),
        (b" " * (MAX_CONFIG_BYTES + 1), "is larger than 1024 KiB"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else "",
)
def test_a_damaged_config_is_refused_with_what_is_wrong(tmp_path: Path, content: bytes, sentence: str) -> None:
    (write(tmp_path) / CONFIG_FILE).write_bytes(content)
    with pytest.raises(InvalidArgument) as refused:
        read_adapter_config(tmp_path)
    assert sentence in refused.value.message


@pytest.mark.parametrize("table", ["rank_pattern", "alpha_pattern"])
@pytest.mark.parametrize(
    "pattern",
    [
        "(.*)*x",
        "(a+)+x",
        "(a|a)*x",
        "(.+){20}x",
        ".*" * 30 + "!",
        ".?" * 40 + "!",
        "(.|.)" * 40 + "!",
        r"\\" + "a*" * 10,
        "x" * 300,
    ],
)
def test_a_pattern_that_could_be_made_to_match_for_ever_is_refused(tmp_path: Path, table: str, pattern: str) -> None:
    with pytest.raises(InvalidArgument, match=f"has a {table} entry that is too complex"):
        read_adapter_config(write(tmp_path, **{table: {pattern: 4}}))


@pytest.mark.parametrize("pattern", ["(q_proj", "[z-a]", "*", "(?i)q_proj", r"\8"])
def test_a_broken_pattern_is_refused_when_the_adapter_is_read_not_when_it_is_used(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(InvalidArgument, match="has a broken rank_pattern entry"):
        read_adapter_config(write(tmp_path, rank_pattern={pattern: 4}))


def test_tables_of_too_many_patterns_are_refused_but_one_of_plain_names_may_be_long(tmp_path: Path) -> None:
    names = {f"model.layers.{i}.self_attn.q_proj": 4 for i in range(MAX_PATTERNS)}
    assert len(read_adapter_config(write(tmp_path, rank_pattern=names)).rank_pattern) == MAX_PATTERNS
    with pytest.raises(InvalidArgument, match="has more than 1024 entries in rank_pattern"):
        read_adapter_config(write(tmp_path, rank_pattern={**names, "one.more": 4}))
    choosing = {rf".*\.{i}\..*_proj": 4 for i in range(MAX_CHOOSING_PATTERNS + 1)}
    with pytest.raises(InvalidArgument, match="more than 32 regular expressions in alpha_pattern; name the modules"):
        read_adapter_config(write(tmp_path, alpha_pattern=choosing))


def test_patterns_as_people_write_them_are_accepted(tmp_path: Path) -> None:
    patterns = {"q_proj": 4, r"^model\.layers\.[0-9]+\.mlp\..*": 2, "(k|v)_proj": 16, r"layers\.\d{1,2}\.o_proj": 3}
    config = read_adapter_config(write(tmp_path, rank_pattern=patterns))
    assert config.rank_of("model.layers.3.self_attn.q_proj") == 4
    assert config.rank_of("model.layers.3.mlp.up_proj") == 2
    assert config.rank_of("model.layers.3.self_attn.v_proj") == 16
    assert config.rank_of("model.layers.3.self_attn.o_proj") == 8
