from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from tests.training.tiny_model import write_persona, write_tiny_model
from townsfolk.engine.embedded.checkpoint import fingerprint, open_checkpoint
from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.errors import FailedPrecondition, InvalidArgument
from townsfolk.training.base_model import build_model
from townsfolk.training.dataset import read_dialogue, split, tokenise
from townsfolk.training.packing import pack_all
from townsfolk.training.persona_run import PersonaRun
from townsfolk.training.trainer import TARGET_MODULES, Progress, Settings, mean_loss

QUICK = Settings(rank=4, epochs=4, learning_rate=2e-2)


def prepare(root: Path, settings: Settings = QUICK) -> PersonaRun:
    model, persona = root / "tiny", root / "tock"
    if not model.exists():
        write_tiny_model(model)
        write_persona(persona)
    return PersonaRun(persona, open_checkpoint(model), settings)


def test_training_lowers_the_held_out_loss_and_says_so(tmp_path: Path) -> None:
    run = prepare(tmp_path)
    seen: list[Progress] = []
    report = run.train(seen.append)
    assert report["held_out_loss"] < 0.7 * report["base_held_out_loss"]
    assert sorted(file.name for file in run.target.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "loss.png",
        "training.json",
    ]
    assert json.loads((run.target / "training.json").read_text()) == report
    assert report["base_fingerprint"] == fingerprint(open_checkpoint(tmp_path / "tiny"))
    assert report["base_model"] == "tiny"
    assert report["examples"]["training"] + report["examples"]["held_out"] == 40
    assert [row["epoch"] for row in report["loss_per_epoch"]] == [1, 2, 3, 4]
    assert [progress.step for progress in seen] == list(range(1, report["steps"] + 1))
    assert seen[-1].remaining_s == 0.0
    assert sum(progress.epoch_ended for progress in seen) == 4
    assert (run.target / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    run = prepare(tmp_path)
    before = torch.random.get_rng_state()
    adapters = []
    for seed in (1, 1, 2):
        torch.rand(seed)  # whatever else the process draws does not matter
        run = prepare(tmp_path, dataclasses.replace(QUICK, epochs=1, seed=seed))
        run.train()
        adapters.append((run.target / "adapter_model.safetensors").read_bytes())
    assert adapters[0] == adapters[1] != adapters[2]
    torch.random.set_rng_state(before)
    prepare(tmp_path, dataclasses.replace(QUICK, epochs=1)).train()
    assert torch.random.get_rng_state().equal(before)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft 0.21
def test_peft_loads_the_adapter_and_measures_the_same_loss(tmp_path: Path) -> None:
    import peft

    run = prepare(tmp_path)
    report = run.train()
    config = (run.target / "adapter_config.json").read_text()
    assert "null" not in config
    assert str(tmp_path) not in config
    checkpoint = open_checkpoint(tmp_path / "tiny")
    base = build_model(checkpoint, torch.device("cpu"), getattr(torch, report["dtype"]))
    loaded = peft.PeftModel.from_pretrained(base, run.target)
    examples = read_dialogue(tmp_path / "tock" / "dialogue.jsonl")
    held_out = tokenise(split(examples)[1], run.persona.system, run.prompts)
    loss = mean_loss(loaded.get_base_model(), pack_all(held_out, QUICK.examples_per_step))
    assert loss == pytest.approx(report["held_out_loss"], abs=1e-3)


def test_the_files_hold_peft_keys_in_bf16(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    run = prepare(tmp_path)
    run.train()
    weights = load_file(run.target / "adapter_model.safetensors")
    assert len(weights) == 2 * 2 * len(TARGET_MODULES)
    down = "base_model.model.model.layers.1.mlp.down_proj.lora_{}.weight"
    assert weights[down.format("A")].shape == (4, 48)
    assert weights[down.format("B")].shape == (32, 4)
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}


def test_an_adapter_for_the_default_model_stays_under_five_megabytes() -> None:
    smollm2 = ModelSpec(
        name="smollm2-135m-instruct",
        family="llama",
        vocab_size=49152,
        hidden_size=576,
        num_layers=30,
        num_heads=9,
        num_kv_heads=3,
        head_dim=64,
        ffn_size=1536,
        norm_eps=1e-5,
        max_context=8192,
        tied_embeddings=True,
    )
    weights = smollm2.num_layers * Settings().rank * sum(sum(smollm2.projection_shape(m)) for m in TARGET_MODULES)
    headers = 160 * 2 * smollm2.num_layers * len(TARGET_MODULES)
    assert 2 * weights + headers < 5_000_000


def test_an_interrupt_leaves_the_old_adapter_and_nothing_else(tmp_path: Path) -> None:
    run = prepare(tmp_path)
    run.train()
    old = {file.name: file.read_bytes() for file in run.target.iterdir()}

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, dataclasses.replace(QUICK, seed=5)).train(interrupt)
    assert {file.name: file.read_bytes() for file in run.target.iterdir()} == old
    assert [folder.name for folder in run.target.parent.iterdir()] == ["tiny"]


def test_an_interrupt_while_writing_leaves_the_old_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare(tmp_path)
    run.target.mkdir(parents=True)
    (run.target / "adapter_config.json").write_text("old")

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("townsfolk.training.persona_run.draw_loss_curve", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, dataclasses.replace(QUICK, epochs=1)).train()
    assert (run.target / "adapter_config.json").read_text() == "old"
    assert [folder.name for folder in run.target.parent.iterdir()] == ["tiny"]


def test_a_finished_run_is_known_by_its_recipe(tmp_path: Path) -> None:
    run = prepare(tmp_path)
    assert run.finished_before() is None
    report = run.train()
    assert prepare(tmp_path).finished_before() == report
    assert prepare(tmp_path, dataclasses.replace(QUICK, seed=9)).finished_before() is None
    with (tmp_path / "tock" / "dialogue.jsonl").open("a") as file:
        file.write('{"player": "New?", "reply": "Tick."}\n')
    assert prepare(tmp_path).finished_before() is None
    prepare(tmp_path).check_replaceable()


def test_an_adapter_from_elsewhere_is_not_replaced_unasked(tmp_path: Path) -> None:
    run = prepare(tmp_path)
    run.target.mkdir(parents=True)
    with pytest.raises(FailedPrecondition, match="this command did not train"):
        run.check_replaceable()


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"epochs": 0}, {"learning_rate": 0.0}, {"seed": -1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        Settings(**wrong)
