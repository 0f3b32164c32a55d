"""Only a whole SDXL model in safetensors without code of its own is loaded; everything else gets a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from townsfolk.errors import FailedPrecondition
from townsfolk.pictures.model_folder import check_model_folder, find_model_folder, weights_bytes

INDEX = {
    "_class_name": "StableDiffusionXLPipeline",
    "_diffusers_version": "0.42.1",
    "force_zeros_for_empty_prompt": True,
    "image_encoder": [None, None],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def model(folder: Path, weights: str = "model.safetensors", **changes: object) -> Path:
    (folder / "model_index.json").write_text(json.dumps({**INDEX, **changes}))
    for component in ("text_encoder", "text_encoder_2", "unet", "vae"):
        (folder / component).mkdir()
        (folder / component / weights).write_bytes(b"12345678")
    return folder


def test_a_model_that_diffusers_wrote_is_good(sdxl_folder: Path) -> None:
    assert check_model_folder(sdxl_folder) is None


@pytest.mark.parametrize(("weights", "variant"), [("model.safetensors", None), ("model.fp16.safetensors", "fp16")])
def test_half_size_weights_are_taken_where_only_they_are(tmp_path: Path, weights: str, variant: str | None) -> None:
    assert check_model_folder(model(tmp_path, weights)) == variant


def test_weights_count_as_16_bits(tmp_path: Path) -> None:
    model(tmp_path)
    assert weights_bytes(tmp_path, "unet") == 4
    (tmp_path / "unet" / "model.fp16.safetensors").write_bytes(b"123")
    assert weights_bytes(tmp_path, "unet") == 3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"_class_name": "StableDiffusionPipeline"}, "Stable Diffusion XL"),
        ({"_class_name": ["mine", "MyPipeline"]}, "Stable Diffusion XL"),
        ({"unet": ["my_unet", "MyUnet"]}, "code of its own for unet"),
    ],
)
def test_a_model_that_is_something_else_is_refused(tmp_path: Path, changes: dict[str, object], why: str) -> None:
    with pytest.raises(FailedPrecondition, match=why):
        check_model_folder(model(tmp_path, **changes))


def test_weights_that_are_no_safetensors_are_never_loaded(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="no safetensors, which are never loaded"):
        check_model_folder(model(tmp_path, "pytorch_model.bin"))


def test_a_component_without_weights_is_named(tmp_path: Path) -> None:
    (model(tmp_path) / "vae" / "model.safetensors").unlink()
    with pytest.raises(FailedPrecondition, match="vae has no weights"):
        check_model_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"{"])
def test_a_damaged_index_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model_index.json").write_bytes(content)
    with pytest.raises(FailedPrecondition, match=r"model_index\.json"):
        check_model_folder(tmp_path)


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"no model_index\.json"):
        check_model_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "no picture model is set"),
        ("./nowhere/at/all", "there is no picture model at"),
        ("somebody/never-fetched", "--download"),
    ],
)
def test_a_missing_model_says_how_to_get_one(
    name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is missing: pip install 'townsfolk[pictures]'")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FailedPrecondition, match=why):
        find_model_folder(name)


def test_a_single_file_is_sent_to_the_servers(tmp_path: Path) -> None:
    checkpoint = tmp_path / "juggernaut.safetensors"
    checkpoint.write_bytes(b"")
    with pytest.raises(FailedPrecondition, match="ComfyUI"):
        find_model_folder(str(checkpoint))
