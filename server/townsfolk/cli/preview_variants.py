"""The variants that `townsfolk preview` compares, from words on the command line to messages of the API."""

from __future__ import annotations

import re
from collections.abc import Sequence

from townsfolk.errors import InvalidArgument
from townsfolk.v1 import preview_pb2 as pb

KINDS = {
    "base": pb.VARIANT_KIND_BASE,
    "prompt-only": pb.VARIANT_KIND_PROMPT_ONLY,
    "adapter-only": pb.VARIANT_KIND_ADAPTER_ONLY,
    "persona": pb.VARIANT_KIND_PERSONA,
}
LABELS = {
    "base": "base model",
    "prompt-only": "prompt only",
    "adapter-only": "adapter only",
    "persona": "prompt and adapter",
}
WITH_PROMPT = ("persona", "prompt-only")
WITH_ADAPTER = ("persona", "adapter-only")
MAX_LABEL_CHARACTERS = 64
BASE = "base"
ADAPTER = re.compile(r"(?P<persona>[a-z0-9][a-z0-9_-]{0,63})(?:@(?P<scale>[0-9.]+))?")
VARIANT = re.compile(r"(?:(?P<persona>[a-z0-9][a-z0-9_-]{0,63}):)?(?P<kind>[a-z-]+)(?:@(?P<scale>[0-9.]+))?")


def make_variants(
    words: Sequence[str], persona_id: str, scales: Sequence[float], system: str | None
) -> list[pb.Variant]:
    """Variants from words such as `base`, `persona@0.5` or `forest_elf:prompt-only`.

    One that wears an adapter and names no scale is made once for each of `scales`. Raises ``InvalidArgument``.
    """
    parsed = [_parse(word, persona_id) for word in words]
    several = len({persona for persona, kind, _ in parsed if kind != "base"}) > 1
    variants = []
    for persona, kind, own_scale in parsed:
        wanted: Sequence[float | None] = [None]
        if own_scale is not None:
            wanted = [own_scale]
        elif kind in WITH_ADAPTER and scales:
            wanted = scales
        for scale in wanted:
            variant = pb.Variant(kind=KINDS[kind], label=_label(persona if several else "", kind, scale))
            if kind != "base":
                variant.persona_id = persona
            if scale is not None:
                variant.adapter_scale = scale
            if system is not None and kind in WITH_PROMPT:
                variant.system_prompt = system
            variants.append(variant)
    return variants


def make_voices(adapters: str, system: str | None) -> list[pb.Variant]:
    """A variant for each of the ids in ``adapters``, such as `summariser,shop_marketing@0.5,base`.

    ``system`` is one prompt for all of them, in place of their own. Raises ``InvalidArgument``.
    """
    words = list(dict.fromkeys(word for word in re.split(r"[,\s]+", adapters) if word))
    if not words:
        raise InvalidArgument("--adapters names none; write ids of personas with commas between", field="adapters")
    return [_voice(word, system) for word in words]


def _voice(word: str, system: str | None) -> pb.Variant:
    found = ADAPTER.fullmatch(word)
    if found is None:
        raise InvalidArgument(
            f"--adapters: {word!r} is no id of a persona. Write ID, ID@SCALE or base; the files of an adapter belong "
            "into a persona's folder, as `townsfolk personas list` shows it",
            field="adapters",
        )
    if found["persona"] == BASE:
        if found["scale"] is not None:
            raise InvalidArgument(f"--adapters: {word!r}: the base model has no adapter to scale", field="adapters")
        return pb.Variant(kind=pb.VARIANT_KIND_BASE, label=word)
    variant = pb.Variant(persona_id=found["persona"], kind=pb.VARIANT_KIND_PERSONA, label=word[:MAX_LABEL_CHARACTERS])
    if found["scale"] is not None:
        try:
            variant.adapter_scale = float(found["scale"])
        except ValueError:
            raise InvalidArgument(f"--adapters: {word!r}: {found['scale']} is no number", field="adapters") from None
    if system is not None:
        variant.system_prompt = system
    return variant


def _parse(word: str, persona_id: str) -> tuple[str, str, float | None]:
    """Persona, kind and scale of one variant."""
    found = VARIANT.fullmatch(word)
    kind = found["kind"] if found else ""
    if found is None or kind not in KINDS:
        raise InvalidArgument(
            f"--variant {word!r} is none; write [PERSONA:]KIND[@SCALE], where KIND is one of {', '.join(KINDS)}",
            field="variant",
        )
    scale = found["scale"]
    if scale is not None and kind not in WITH_ADAPTER:
        raise InvalidArgument(f"--variant {word!r}: {kind} has no adapter to scale", field="variant")
    if found["persona"] is not None and kind == "base":
        raise InvalidArgument(f"--variant {word!r}: the base model speaks without a persona", field="variant")
    try:
        return found["persona"] or persona_id, kind, None if scale is None else float(scale)
    except ValueError:
        raise InvalidArgument(f"--variant {word!r}: {scale} is no number", field="variant") from None


def _label(persona_id: str, kind: str, scale: float | None) -> str:
    owner = f"{persona_id} · " if persona_id and kind != "base" else ""
    strength = "" if scale is None else f" at {scale:g}"
    return f"{owner}{LABELS[kind]}{strength}"[-MAX_LABEL_CHARACTERS:]
