"""The name that a base model's adapters are filed under."""

from __future__ import annotations

import re
from pathlib import Path

QUANTISATION_SUFFIX = re.compile(r"[-._](i?q\d[\w]*|f16|bf16|f32|fp16|fp32)$", re.IGNORECASE)


def model_name(path: Path) -> str:
    """File or folder name without its quantisation suffix, in lower case."""
    stem = path.stem if path.suffix.lower() == ".gguf" else path.name
    return QUANTISATION_SUFFIX.sub("", stem).lower()
