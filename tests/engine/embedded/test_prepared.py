"""The prepared form of a model: a quicker start with the same words, and never a wrong one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.engine.embedded.driver import prompt_logits
from tests.engine.embedded.tiny_gguf import write_gguf
from tests.engine.embedded.tiny_models import tiny_tokenizer, write_model
from townsfolk.config import EngineSettings
from townsfolk.engine.embedded import prepared
from townsfolk.engine.embedded.checkpoint import fingerprint, open_checkpoint
from townsfolk.engine.embedded.engine import EmbeddedEngine
from townsfolk.engine.embedded.int8_decoder import Int8Decoder
from townsfolk.engine.embedded.kernel import Kernel, load_kernel
from townsfolk.engine.embedded.prepared import PreparedCheckpoint, keep_prepared, open_prepared
from townsfolk.engine.embedded.start import start_engine

CPU = torch.device("cpu")
PROMPT = [5, 9, 17, 30, 4, 8]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOWNSFOLK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(prepared, "MIN_MODEL_BYTES", 0)
    return tmp_path / "cache" / "prepared"


@pytest.fixture
def kernel() -> Kernel:
    return load_kernel()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    base = AutoModelForCausalLM.from_pretrained(write_model("llama2", tmp_path / "llama2"), dtype=torch.float32)
    return write_gguf(base, tmp_path / "tïny model.gguf", "Q8_0", tokenizer=tiny_tokenizer())


def engine_of(checkpoint: object, model: Path) -> EmbeddedEngine:
    return EmbeddedEngine(checkpoint, EngineSettings(model=model), CPU, torch.int8)  # type: ignore[arg-type]


def keep(model: Path, kernel: Kernel) -> tuple[EmbeddedEngine, Path]:
    checkpoint = open_checkpoint(model)
    engine = engine_of(checkpoint, model)
    assert isinstance(engine.decoder, Int8Decoder)
    path = keep_prepared(model, kernel, checkpoint, engine.decoder.packed)
    assert path is not None
    return engine, path


def test_a_prepared_model_computes_the_same_bits(model: Path, kernel: Kernel) -> None:
    fresh, _ = keep(model, kernel)
    checkpoint = open_prepared(model, kernel)
    assert checkpoint is not None
    assert torch.equal(prompt_logits(engine_of(checkpoint, model), PROMPT, None), prompt_logits(fresh, PROMPT, None))


def test_a_prepared_model_has_the_same_spec_tokenizer_and_fingerprint(model: Path, kernel: Kernel) -> None:
    keep(model, kernel)
    original, checkpoint = open_checkpoint(model), open_prepared(model, kernel)
    assert checkpoint is not None
    for attribute in ("spec", "tokenizer_json", "bos_id", "eos_ids"):
        assert getattr(checkpoint, attribute) == getattr(original, attribute), attribute
    assert fingerprint(checkpoint) == fingerprint(original)
    name = "model.layers.1.mlp.up_proj.weight"  # not kept: comes from the model file
    assert torch.equal(checkpoint.tensor(name), original.tensor(name))


def test_a_start_prepares_and_the_next_start_uses_it(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_engine(EngineSettings(model=model, dtype="int8"), lambda: None)
    deadline = time.monotonic() + 30
    while not list(cache.glob("*.safetensors")):
        assert time.monotonic() < deadline, "nothing was kept"
        time.sleep(0.01)
    monkeypatch.setattr("townsfolk.engine.embedded.start.open_checkpoint", None)  # may not be called again
    start_engine(EngineSettings(model=model, dtype="int8"), lambda: None)


def test_nothing_is_kept_where_the_settings_say_so(model: Path, cache: Path) -> None:
    start_engine(EngineSettings(model=model, dtype="int8", keep_prepared=False), lambda: None)
    assert not cache.exists()


@pytest.mark.parametrize("damage", ["cut short", "empty", "not safetensors"])
def test_a_damaged_file_is_made_anew(model: Path, kernel: Kernel, damage: str) -> None:
    _, path = keep(model, kernel)
    whole = path.read_bytes()
    path.write_bytes({"cut short": whole[:-100], "empty": b"", "not safetensors": b"x" * 1000}[damage])
    assert open_prepared(model, kernel) is None
    keep(model, kernel)
    assert isinstance(open_prepared(model, kernel), PreparedCheckpoint)


def test_a_model_file_that_has_changed_is_not_taken_for_the_old_one(model: Path, kernel: Kernel) -> None:
    keep(model, kernel)
    os.utime(model, ns=(0, model.stat().st_mtime_ns + 1))
    assert open_prepared(model, kernel) is None


def test_only_the_latest_are_kept(model: Path, kernel: Kernel, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "MAX_PREPARED", 2)
    paths = []
    for age in range(3):
        os.utime(model, ns=(0, age))
        paths.append(keep(model, kernel)[1])
        os.utime(paths[-1], (age, age))
    assert sorted(cache.glob("*.safetensors")) == sorted(paths[1:])


def test_what_a_killed_process_left_behind_is_cleared_away(model: Path, kernel: Kernel, cache: Path) -> None:
    left = cache / ".prepare-abc"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    keep(model, kernel)
    assert not left.exists()


def test_a_cache_that_cannot_be_written_only_costs_time(model: Path, kernel: Kernel, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where a folder should be")
    checkpoint = open_checkpoint(model)
    engine = engine_of(checkpoint, model)
    assert isinstance(engine.decoder, Int8Decoder)
    assert keep_prepared(model, kernel, checkpoint, engine.decoder.packed) is None


def test_small_models_and_folders_are_not_prepared(
    model: Path, kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = keep(model, kernel)
    assert isinstance(engine.decoder, Int8Decoder)
    folder = tmp_path / "llama2"
    assert keep_prepared(folder, kernel, open_checkpoint(folder), engine.decoder.packed) is None
    monkeypatch.setattr(prepared, "MIN_MODEL_BYTES", 1 << 30)
    os.utime(model, ns=(0, 0))
    assert keep_prepared(model, kernel, open_checkpoint(model), engine.decoder.packed) is None
