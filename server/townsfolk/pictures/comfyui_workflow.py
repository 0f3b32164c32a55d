"""The workflow that ComfyUI is given: its usual text-to-image graph, or the user's own with placeholders filled in.

A workflow in API format maps node ids to ``{"class_type": …, "inputs": {…}}``; ``["4", 1]`` is output 1 of node 4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from townsfolk.errors import FailedPrecondition

MAX_WORKFLOW_BYTES = 4 * 1024 * 1024
PLACEHOLDERS = ("prompt", "negative_prompt", "model", "width", "height", "steps", "guidance", "seed")
_PLACEHOLDER = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")

# Previews are temporary files, so that nothing is left in the artist's output folder.
TEXT_TO_IMAGE: dict[str, Any] = {
    "checkpoint": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "{model}"}},
    "positive": {"class_type": "CLIPTextEncode", "inputs": {"text": "{prompt}", "clip": ["checkpoint", 1]}},
    "negative": {"class_type": "CLIPTextEncode", "inputs": {"text": "{negative_prompt}", "clip": ["checkpoint", 1]}},
    "canvas": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": "{width}", "height": "{height}", "batch_size": 1},
    },
    "sampler": {
        "class_type": "KSampler",
        "inputs": {
            "seed": "{seed}",
            "steps": "{steps}",
            "cfg": "{guidance}",
            "sampler_name": "euler_ancestral",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["checkpoint", 0],
            "positive": ["positive", 0],
            "negative": ["negative", 0],
            "latent_image": ["canvas", 0],
        },
    },
    "decoder": {"class_type": "VAEDecode", "inputs": {"samples": ["sampler", 0], "vae": ["checkpoint", 2]}},
    "picture": {"class_type": "PreviewImage", "inputs": {"images": ["decoder", 0]}},
}


def read_workflow(path: Path) -> dict[str, Any]:
    """A workflow saved in API format that names ``{prompt}`` somewhere. Raises ``FailedPrecondition``."""
    try:
        with path.open("rb") as file:
            workflow = json.loads(file.read(MAX_WORKFLOW_BYTES))
    except (OSError, ValueError) as error:
        raise _bad(path, f"cannot be read: {error}") from error
    if not isinstance(workflow, dict) or not all(
        isinstance(node, dict) and "class_type" in node and isinstance(node.get("inputs"), dict)
        for node in workflow.values()
    ):
        raise _bad(path, "is no ComfyUI workflow in API format; save it with `Export (API)`")
    if "{prompt}" not in json.dumps(workflow):
        raise _bad(path, "has no {prompt} in it; write {prompt} where the picture's prompt goes")
    return workflow


def fill_in(workflow: Mapping[str, Any], values: Mapping[str, str | int | float]) -> dict[str, Any]:
    """The workflow with its placeholders filled in.

    A text that is a placeholder and nothing else becomes the value in its own type; inside a longer text it becomes
    text. Values are put in once, so that a prompt that says ``{seed}`` keeps saying so.
    """
    return {node_id: {**node, "inputs": _filled(node["inputs"], values)} for node_id, node in workflow.items()}


def needs(workflow: Mapping[str, Any], placeholder: str) -> bool:
    """Whether the workflow has a place for it."""
    return "{" + placeholder + "}" in json.dumps(workflow)


def _filled(value: Any, values: Mapping[str, str | int | float]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if not isinstance(value, str):
        return value
    whole = value[1:-1]
    if value == "{" + whole + "}" and whole in values:
        return values[whole]
    return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), value)


def _bad(path: Path, what: str) -> FailedPrecondition:
    return FailedPrecondition(f"{path} {what}", field="pictures.workflow")
