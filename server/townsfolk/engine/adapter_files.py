"""PEFT LoRA folders as files: their config, their digest, and what is refused before any weight is read.

Format: ``adapter_config.json`` and ``adapter_model.safetensors`` as Hugging Face PEFT writes them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from townsfolk.errors import InvalidArgument, NotFound

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
TRAINING_FILE = "training.json"
MAX_CONFIG_BYTES = 1024 * 1024
MAX_PATTERNS = 1024
MAX_PATTERN_CHARACTERS = 256
# A pattern is matched against every module name, and each of its choices multiplies the work of a failed match.
MAX_CHOOSING_PATTERNS = 32  # patterns in a table that have choices at all; names of modules have none
MAX_CHOICES = 6  # in one pattern
MAX_REPETITIONS = 2  # of these, such as may match any number of characters
QUANTIFIED_GROUP = re.compile(r"\)\s*[*+{]")  # where exponential backtracking comes from
ESCAPED_CHARACTER = re.compile(r"\\.", re.DOTALL)

# What changes the arithmetic in a way that the engines do not do; applying the rest of such an adapter would be wrong.
REFUSED_WHEN_SET = {
    "use_dora": "DoRA",
    "modules_to_save": "fully trained modules",
    "lora_bias": "LoRA biases",
    "trainable_token_indices": "trained token embeddings",
    "alora_invocation_tokens": "activated LoRA",
    "layer_replication": "layer replication",
    "use_qalora": "QA-LoRA",
    "arrow_config": "Arrow routing",
    "use_bdlora": "block-diagonal LoRA",
    "kasa_config": "KaSA",
}
# Ways to start a training that also rewrite the base model; PEFT rewrites it again whenever it loads the adapter.
REFUSED_INITIALISATIONS = ("pissa", "corda", "olora", "loftq", "lora_ga")


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """The part of ``adapter_config.json`` that decides what an adapter computes."""

    rank: int
    alpha: float
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, float] = field(default_factory=dict)
    use_rslora: bool = False

    def scaling(self, module: str, rank: int) -> float:
        """What ``B·A`` is multiplied with in ``module`` (its full dotted name): alpha/r, or alpha/√r with rsLoRA."""
        alpha = self.alpha_pattern.get(_matching_pattern(self.alpha_pattern, module), self.alpha)
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank

    def rank_of(self, module: str) -> int:
        return self.rank_pattern.get(_matching_pattern(self.rank_pattern, module), self.rank)


def read_adapter_config(folder: Path) -> AdapterConfig:
    """The config of the adapter in ``folder``.

    Raises ``NotFound`` where there is none, ``InvalidArgument`` for one that is damaged or uses what is not supported.
    """
    path = folder / CONFIG_FILE
    if not path.exists():
        raise NotFound(f"no adapter at {folder}: {CONFIG_FILE} is missing", field="adapter")
    if not (folder / WEIGHTS_FILE).exists():
        raise InvalidArgument(f"{folder} has no {WEIGHTS_FILE}; only safetensors weights are read", field="adapter")
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise InvalidArgument(f"{path} is larger than {MAX_CONFIG_BYTES // 1024} KiB", field="adapter")
    try:
        document = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{path} is not valid JSON: {error}", field="adapter") from error
    if not isinstance(document, dict):
        raise InvalidArgument(f"{path} does not hold a JSON object", field="adapter")
    _refuse_unsupported(path, document)
    try:
        config = AdapterConfig(
            rank=int(document["r"]),
            alpha=float(document["lora_alpha"]),
            rank_pattern={str(k): int(v) for k, v in _patterns(path, document, "rank_pattern").items()},
            alpha_pattern={str(k): float(v) for k, v in _patterns(path, document, "alpha_pattern").items()},
            use_rslora=bool(document.get("use_rslora", False)),
        )
    except KeyError as missing:
        raise InvalidArgument(f"{path} lacks {missing}", field="adapter") from missing
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InvalidArgument(f"{path} has a value of the wrong kind: {error}", field="adapter") from error
    if min([config.rank, *config.rank_pattern.values()]) < 1:
        raise InvalidArgument(f"{path} has a rank below 1", field="adapter")
    return config


def adapter_digest(folder: Path) -> str:
    """SHA-256 of the adapter's config and weights: its name in slots, cache keys and towards remote engines."""
    digest = hashlib.sha256()
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        try:
            with (folder / name).open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
        except FileNotFoundError as error:
            raise NotFound(f"no adapter at {folder}: {name} is missing", field="adapter") from error
        digest.update(content)
    return digest.hexdigest()


def _refuse_unsupported(path: Path, document: dict[str, Any]) -> None:
    if document.get("peft_type") != "LORA":
        raise InvalidArgument(
            f"{path} is of type {document.get('peft_type')}; only LORA adapters are supported",
            field="adapter",
        )
    for key, what in REFUSED_WHEN_SET.items():
        if document.get(key):
            raise InvalidArgument(
                f"{path} uses {what} ({key}), which is not supported; train without it", field="adapter"
            )
    start = str(document.get("init_lora_weights", "")).lower()
    if start.startswith(REFUSED_INITIALISATIONS):
        raise InvalidArgument(
            f"{path} was started with init_lora_weights={start!r}, which changes the base model too; let PEFT convert "
            "it when saving (path_initial_model_for_weight_conversion)",
            field="adapter",
        )
    if document.get("bias", "none") != "none":
        raise InvalidArgument(
            f"{path} trains biases (bias={document['bias']!r}), which is not supported", field="adapter"
        )


def _patterns(path: Path, document: dict[str, Any], key: str) -> dict[str, Any]:
    """A pattern table, refused where its regular expressions could be made to run for ever."""
    patterns: dict[str, Any] = document.get(key) or {}
    if len(patterns) > MAX_PATTERNS:
        raise InvalidArgument(f"{path} has more than {MAX_PATTERNS} entries in {key}", field="adapter")
    if sum(_choices(pattern, "*+?{|") > 0 for pattern in patterns) > MAX_CHOOSING_PATTERNS:
        raise InvalidArgument(
            f"{path} has more than {MAX_CHOOSING_PATTERNS} regular expressions in {key}; name the modules",
            field="adapter",
        )
    for pattern in patterns:
        if len(pattern) > MAX_PATTERN_CHARACTERS or _is_costly(pattern):
            raise InvalidArgument(f"{path} has a {key} entry that is too complex: {pattern[:60]!r}", field="adapter")
        try:
            re.compile(_anywhere(pattern))
        except re.error as error:
            raise InvalidArgument(f"{path} has a broken {key} entry {pattern!r}: {error}", field="adapter") from error
    return patterns


def _is_costly(pattern: str) -> bool:
    """Whether a failed match could take more than a blink: every choice is tried with every other."""
    return (
        QUANTIFIED_GROUP.search(pattern) is not None
        or _choices(pattern, "*+{") > MAX_REPETITIONS
        or _choices(pattern, "*+?{|") > MAX_CHOICES
    )


def _choices(pattern: str, marks: str) -> int:
    bare = ESCAPED_CHARACTER.sub("", pattern)
    return sum(bare.count(mark) for mark in marks)


def _matching_pattern(patterns: dict[str, Any], module: str) -> str:
    """PEFT's rule: the first pattern that matches a dotted suffix of the module's name."""
    for pattern in patterns:
        if re.match(_anywhere(pattern), module):
            return pattern
    return module


def _anywhere(pattern: str) -> str:
    return rf"(.*\.)?({pattern})$"
