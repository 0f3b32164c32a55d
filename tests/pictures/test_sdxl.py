"""The model inside the picture process: presets, memory, and what it says when it cannot go on."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.pictures.tiny_sdxl import write_tiny_sdxl
from townsfolk.config import PictureSettings
from townsfolk.errors import FailedPrecondition, ResourceExhausted
from townsfolk.pictures.painter import PictureOrder

if TYPE_CHECKING:
    from townsfolk.pictures.sdxl import SdxlModel

GIBIBYTE = 1024**3
ORDER = PictureOrder("a lighthouse", 64, 64, None, 7)


@pytest.fixture(autouse=True)
def quiet_libraries() -> Iterator[None]:
    """On one thread: threads cost more than they bring with a model of this size."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers' and transformers' own
        yield
    torch.set_num_threads(threads)


def load(folder: Path, **settings: Any) -> SdxlModel:
    from townsfolk.pictures.sdxl import SdxlModel

    return SdxlModel(PictureSettings(model=str(folder), **{"device": "cpu", **settings}))


def test_a_turbo_model_is_known_by_its_scheduler_and_a_variant_by_its_files(sdxl_folder: Path, tmp_path: Path) -> None:
    turbo = load(write_tiny_sdxl(tmp_path / "renamed", turbo=True, variant="fp16"))
    assert turbo.steps_for(ORDER) == 4
    assert load(sdxl_folder).steps_for(ORDER) == 30
    assert load(sdxl_folder, steps=12).steps_for(ORDER) == 12
    assert turbo.paint(ORDER, lambda step, steps: None, lambda: False).startswith(b"\x89PNG")


def test_guidance_changes_the_picture(sdxl_folder: Path) -> None:
    order = PictureOrder("a lighthouse", 64, 64, 2, 7)
    pictures = {
        load(sdxl_folder, guidance=guidance).paint(order, lambda step, steps: None, lambda: False)
        for guidance in (None, 0.0, 5.0)
    }
    assert len(pictures) == 2  # 5 is what suits a standard model


def test_a_stopped_order_ends_after_the_step_that_ran(sdxl_folder: Path) -> None:
    from townsfolk.pictures.sdxl import Stopped

    model, steps = load(sdxl_folder), []
    with pytest.raises(Stopped):
        model.paint(ORDER, lambda step, _: steps.append(step), lambda: len(steps) == 2)
    assert steps == [1, 2]


def test_damaged_weights_are_named(sdxl_folder: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(sdxl_folder, tmp_path / "broken"))
    (broken / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(FailedPrecondition, match="cannot be loaded"):
        load(broken)


@pytest.mark.parametrize("device", ["cuda:99", "mps", "abacus"])
def test_a_missing_device_is_said(sdxl_folder: Path, device: str) -> None:
    import torch

    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has MPS")
    with pytest.raises(FailedPrecondition, match=r"pictures\.device"):
        load(sdxl_folder, device=device)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
    ],
)
def test_out_of_memory_says_what_would_help_and_the_model_goes_on(
    sdxl_folder: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(sdxl_folder)
    order = PictureOrder("a lighthouse", 64, 64, 1, 7)

    def run_out(*args: Any, **kwargs: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("diffusers.UNet2DConditionModel.forward", run_out)
        with pytest.raises(ResourceExhausted, match="64×64 was painted; order a smaller picture"):
            model.paint(order, lambda step, steps: None, lambda: False)
    assert model.paint(order, lambda step, steps: None, lambda: False)


def test_other_errors_are_not_taken_for_memory(sdxl_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr("diffusers.UNet2DConditionModel.forward", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        load(sdxl_folder).paint(ORDER, lambda step, steps: None, lambda: False)


@pytest.mark.parametrize(
    ("free_gib", "wanted", "chosen"),
    [
        (16, "auto", "full"),
        (9, "auto", "offload"),
        (6, "auto", "smallest"),
        (16, "smallest", "smallest"),
        (2, "full", "full"),
    ],
)
def test_memory_goes_by_what_is_free_on_the_card(
    sdxl_folder: Path, monkeypatch: pytest.MonkeyPatch, free_gib: int, wanted: str, chosen: str
) -> None:
    """Sizes of stable-diffusion-xl-base-1.0 in 16 bits."""
    import torch

    from townsfolk.pictures import sdxl

    gib = {"text_encoder": 0.23, "text_encoder_2": 1.29, "unet": 4.78, "vae": 0.16}
    monkeypatch.setattr(sdxl, "weights_bytes", lambda folder, component: int(gib[component] * GIBIBYTE))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free_gib * GIBIBYTE, 24 * GIBIBYTE))
    assert sdxl._memory(wanted, torch.device("cuda"), sdxl_folder) == chosen


def test_a_cpu_has_nothing_to_move(sdxl_folder: Path) -> None:
    assert load(sdxl_folder, memory="smallest").describe().memory == "full"
