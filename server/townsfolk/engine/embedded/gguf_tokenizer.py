"""The tokenizer inside a GGUF file, rebuilt in the Hugging Face ``tokenizers`` format.

GGUF names a tokenizer by its model (``gpt2``: byte-level BPE; ``llama``: SentencePiece BPE with scores) and by a
pre-tokenizer name; the regular expressions behind those names are the published ones of each model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from townsfolk.errors import InvalidArgument

if TYPE_CHECKING:
    from townsfolk.engine.embedded.gguf_fields import GgufFields

CONTROL_TYPES = {gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED}
END_OF_TURN_KEYS = (
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
)

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")


def tokenizer_json_from_gguf(fields: GgufFields) -> tuple[str, int, list[int]]:
    """``(tokenizer_json, bos_id or -1, end-of-turn ids)``. Raises ``InvalidArgument`` for an unknown tokenizer."""
    kind = fields.text("tokenizer.ggml.model")
    tokens: list[str] = fields.get("tokenizer.ggml.tokens", [])
    types: list[int] = fields.get("tokenizer.ggml.token_type", [])
    control = {i for i, t in enumerate(types) if t in CONTROL_TYPES}
    if kind == "gpt2":
        merges = [tuple(pair.split(" ", 1)) for pair in fields.get("tokenizer.ggml.merges", [])]
        tokenizer = _byte_level_bpe(tokens, merges, str(fields.get("tokenizer.ggml.pre", "default")))
    elif kind == "llama":
        scores: list[float] = fields.get("tokenizer.ggml.scores", [])
        tokenizer = _sentencepiece_bpe(tokens, scores, control)
    else:
        raise InvalidArgument(f"the GGUF tokenizer {kind!r} is not supported (gpt2 and llama are)", field="model")
    tokenizer.add_special_tokens([AddedToken(tokens[i], normalized=False, special=True) for i in sorted(control)])
    eos = {fields.integer(key) for key in END_OF_TURN_KEYS if fields.get(key) is not None}
    return tokenizer.to_str(), fields.integer("tokenizer.ggml.bos_token_id", -1), sorted(eos)


def _byte_level_bpe(tokens: list[str], merges: list[tuple[str, ...]], pre: str) -> Tokenizer:
    vocabulary = {token: i for i, token in enumerate(tokens)}
    pairs = [(m[0], m[1]) for m in merges]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=pre == "llama-bpe"))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if pre == "smollm":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    elif pre in ("default", "gpt-2"):
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    elif pre in ("llama-bpe", "llama3", "llama-v3"):
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([_split(LLAMA3_SPLIT), byte_level])
    elif pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([_split(QWEN2_SPLIT), byte_level])
    elif pre == "tekken":
        raise InvalidArgument(
            "the GGUF tokenizer 'tekken' is not supported yet; use the safetensors folder", field="model"
        )
    else:
        raise InvalidArgument(f"the GGUF pre-tokenizer {pre!r} is not known; use the safetensors folder", field="model")
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _split(pattern: str) -> pre_tokenizers.Split:
    return pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)


def _sentencepiece_bpe(tokens: list[str], scores: list[float], control: set[int]) -> Tokenizer:
    vocabulary = {token: i for i, token in enumerate(tokens)}
    ranked: list[tuple[float, str, str]] = []
    for i, token in enumerate(tokens):
        if i in control or len(token) < 2:
            continue
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in vocabulary and right in vocabulary:
                ranked.append((-scores[i], left, right))
    ranked.sort(key=lambda merge: (merge[0], vocabulary[merge[1]], vocabulary[merge[2]]))
    merges = [(left, right) for _, left, right in ranked]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer
