"""Where a picture model lies, and whether it is one that may be loaded: SDXL, whole, safetensors, no code of its own.

Looks at names and JSON only; torch and diffusers are not needed here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from townsfolk.errors import FailedPrecondition

EXAMPLE_MODEL = "stabilityai/stable-diffusion-xl-base-1.0"
PIPELINE = "StableDiffusionXLPipeline"
TRUSTED_LIBRARIES = ("diffusers", "transformers")
COMPONENTS_WITH_WEIGHTS = ("text_encoder", "text_encoder_2", "unet", "vae")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
MAX_INDEX_BYTES = 1024 * 1024


def find_model_folder(model: str) -> Path:
    """The folder of a model that is on this machine: a folder itself, or the name of one in the hub's cache.

    Raises ``FailedPrecondition`` that says how to get it.
    """
    if not model:
        raise _missing(f"no picture model is set; set pictures.model to a folder or to a hub name like {EXAMPLE_MODEL}")
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise _missing(
            f"{model} is a single file, and a picture model is a folder in diffusers' layout; "
            "use the file through ComfyUI or AUTOMATIC1111 instead"
        )
    if not HUB_NAME.fullmatch(model):
        raise _missing(f"there is no picture model at {model}; set pictures.model to a folder or to a hub name")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise _missing(
            f"the picture model {model} is not on this machine; set pictures.download = true "
            "or run `townsfolk paint --download` once to fetch it (several GB)"
        ) from error


def check_model_folder(folder: Path) -> str | None:
    """The variant of the weights to load: ``None`` for plain ones, ``"fp16"`` where only those are there.

    Raises ``FailedPrecondition`` for anything but a whole SDXL model in safetensors without code of its own.
    """
    index = _read_index(folder)
    if index.get("_class_name") != PIPELINE:
        raise _missing(
            f"{folder} holds a {index.get('_class_name')!r}; pictures are painted by Stable Diffusion XL ({PIPELINE})"
        )
    for name, component in index.items():
        if isinstance(component, list) and component[:1] != [None] and component[0] not in TRUSTED_LIBRARIES:
            raise _missing(f"{folder} brings code of its own for {name}, which is never run; use another model")
    variants = {name: _variant(folder / name) for name in COMPONENTS_WITH_WEIGHTS}
    return "fp16" if "fp16" in variants.values() else None


def weights_bytes(folder: Path, component: str) -> int:
    """Size in bytes of a component in 16 bits, going by the smallest set of its safetensors files."""
    files = list((folder / component).glob("*.safetensors"))
    half = sum(file.stat().st_size for file in files if ".fp16." in file.name)
    whole = sum(file.stat().st_size for file in files if ".fp16." not in file.name)
    return half or whole // 2


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / "model_index.json"
    try:
        with path.open("rb") as file:
            index = json.loads(file.read(MAX_INDEX_BYTES))
    except FileNotFoundError as error:
        raise _missing(f"{folder} is no picture model in diffusers' layout: it has no model_index.json") from error
    except (OSError, ValueError) as error:
        raise _missing(f"{path} cannot be read: {error}") from error
    if not isinstance(index, dict):
        raise _missing(f"{path} is no JSON object")
    return index


def _variant(component: Path) -> str | None:
    names = [file.name for file in component.glob("*.safetensors")]
    if any(".fp16" not in name for name in names):
        return None
    if names:
        return "fp16"
    unsafe = any(component.glob("*.bin")) or any(component.glob("*.ckpt"))
    what = "only weights that are no safetensors, which are never loaded" if unsafe else "no weights"
    raise _missing(
        f"the picture model's {component.name} has {what} in {component}; fetch the model again or use another"
    )


def _missing(sentence: str) -> FailedPrecondition:
    return FailedPrecondition(sentence, field="pictures.model")
