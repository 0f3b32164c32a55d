"""Tokenizers of the supported kinds, small enough to be built on the spot, each with traps for human text.

Besides the control tokens of its chat template, each has added tokens that are easily met by accident: not special,
a plain word, one with spaces at its edges, and such as are also words of the vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

TEXTS = [
    "the quick brown fox jumps over the lazy dog at the old stone gate, and the dragon sleeps in the tower",
    "You are a guard. Who goes there? [INST] <<SYS>> system user assistant <|im_end|> <|eot_id|> </s> <tool>",
    "Hello there, how are you today? I am fine; thank you!\nWhat is the price of bread?\n\nThree coins, my friend.",
] * 4
VARIED = (
    "the quick brown fox",
    "Ein Käfer über Straßen, ça va? Ñandú",
    "日本語のテキストと漢字",
    "🦊 and 👩‍👩‍👧‍👦 or 🏴󠁧󠁢󠁳󠁣󠁴󠁿 flags",
    "e\u0301 a\u0308\u0323 combining and הֶעֱבֵר",
    "tabs\tand\r\nnew\n\n\nlines   and  spaces ",
    "in 1984 there were 3.14159 × 10⁻² of them",
    "don't you'll we've I'M; (what?) [why] {how} <who>",
    "\x00\x01\x7f\u200b\ufeff\u2028",
    "",
)
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TRAPS = (
    AddedToken("<tool>", special=False),
    AddedToken("dragon", special=False),
    AddedToken("Hello", special=False),  # the tokenizers below merge it from its letters too
    AddedToken(" [quest] ", special=False, normalized=False),
    AddedToken("<|pad|>", special=True, lstrip=True, rstrip=True),
    AddedToken("ß→ü", special=False),
)


def chatml() -> Tokenizer:
    """Byte-level BPE with ChatML's tokens, as SmolLM2 and Qwen have it."""
    tokenizer = _trained_byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens(list(TRAPS))
    return tokenizer


def llama3() -> Tokenizer:
    """Byte-level BPE that takes a word of the vocabulary whole (``ignore_merges``), control tokens among its words."""
    split = pre_tokenizers.Split(Regex(LLAMA3_SPLIT), behavior="isolated")
    trained = _trained_byte_level(
        pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    )
    description = json.loads(trained.to_str())
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    vocabulary = description["model"]["vocab"]
    vocabulary.update({name: len(vocabulary) + i for i, name in enumerate([*names, "dragon"])})
    description["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(description))
    tokenizer.add_special_tokens(names)
    tokenizer.add_tokens(list(TRAPS))
    bos = names[0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    return tokenizer


def llama2() -> Tokenizer:
    """SentencePiece BPE with byte fallback, which puts a space before every text, as Llama 2 has it."""
    return _sentencepiece(
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), pre_tokenizer=None, control=()
    )


def mistral_v1() -> Tokenizer:
    """The same kind of tokenizer in the newer writing: a space before a text only where a prompt begins."""
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    return _sentencepiece(None, pre_tokenizer=metaspace, control=())


def mistral_v3() -> Tokenizer:
    """``[INST]`` and ``[/INST]`` are control tokens."""
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    return _sentencepiece(None, pre_tokenizer=metaspace, control=("[INST]", "[/INST]"))


def tekken() -> Tokenizer:
    """Mistral's byte-level tokenizer."""
    tokenizer = _trained_byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    tokenizer.add_tokens(list(TRAPS))
    return tokenizer


# (tokenizer, model family)
KINDS: dict[str, tuple[Callable[[], Tokenizer], str]] = {
    "chatml": (chatml, "qwen2"),
    "llama3": (llama3, "llama"),
    "llama2": (llama2, "llama"),
    "mistral_v1": (mistral_v1, "mistral"),
    "mistral_v3": (mistral_v3, "mistral"),
    "tekken": (tekken, "mistral"),
}


def _trained_byte_level(pre_tokenizer: Any) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def _sentencepiece(normalizer: Any, pre_tokenizer: Any, control: tuple[str, ...]) -> Tokenizer:
    """Ids as SentencePiece gives them: ``<unk>``, ``<s>``, ``</s>``, more control tokens, 256 bytes, then words."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never", split=True)
    trained.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=500, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    names = ["<unk>", "<s>", "</s>", *control, *(f"<0x{byte:02X}>" for byte in range(256))]
    words = sorted(model["vocab"], key=model["vocab"].__getitem__)
    vocabulary = {word: i for i, word in enumerate([*names, *words])}
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    )
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("<unk>", "<s>", "</s>", *control)])
    tokenizer.add_tokens(list(TRAPS))
    return tokenizer
