"""Guided decoding, with llguidance over the model's own tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer


class Matcher:
    def __init__(self, folder: str, schema: Any, vocabulary: int) -> None:
        config = json.loads((Path(folder) / "config.json").read_text("utf-8"))
        tokenizer = LLTokenizer(
            (Path(folder) / "tokenizer.json").read_text("utf-8"), n_vocab=vocabulary, eos_token=config["eos_token_id"]
        )
        grammar = LLMatcher.grammar_from_json_schema(schema if isinstance(schema, str) else json.dumps(schema))
        self._matcher = LLMatcher(tokenizer, grammar)

    def mask(self, logits: torch.Tensor) -> torch.Tensor:
        allowed = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8)
        return logits.masked_fill(allowed[: len(logits)] == 0, -torch.inf)

    def take(self, token: int) -> None:
        self._matcher.consume_token(token)
