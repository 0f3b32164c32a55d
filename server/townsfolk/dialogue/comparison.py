"""What is asked for in a comparison, checked: one line, and the variants in which it is to be spoken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from townsfolk.dialogue.request import SamplingOverrides, TurnRequest, clean_words, merged_sampling, merged_stops
from townsfolk.engine.messages import MAX_TOP_TOKENS
from townsfolk.errors import InvalidArgument
from townsfolk.personas.schema import Sampling

MAX_VARIANTS = 32
MAX_LABEL_CHARACTERS = 64
MAX_SYSTEM_CHARACTERS = 8000  # as in a persona's file
MAX_ADAPTER_SCALE = 2.0
NO_OVERRIDES = SamplingOverrides()


class VariantKind(StrEnum):
    """What of a persona a variant uses; see ``VariantKind`` in the API."""

    PERSONA = "persona"
    PROMPT_ONLY = "prompt-only"
    ADAPTER_ONLY = "adapter-only"
    BASE = "base"

    @property
    def has_prompt(self) -> bool:
        return self in (VariantKind.PERSONA, VariantKind.PROMPT_ONLY)

    @property
    def has_adapter(self) -> bool:
        return self in (VariantKind.PERSONA, VariantKind.ADAPTER_ONLY)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to speak the line. ``None`` means that it was not given."""

    persona_id: str = ""
    kind: VariantKind = VariantKind.PERSONA
    label: str = ""
    adapter_scale: float | None = None
    system_prompt: str | None = None
    sampling: SamplingOverrides = NO_OVERRIDES


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line in many variants. Empty ids mean that they were not given."""

    text: str
    variants: tuple[Variant, ...]
    situation: str = ""
    sampling: SamplingOverrides = NO_OVERRIDES
    session_id: str = ""
    top_tokens: int = 0


def checked(comparison: Comparison, max_text_bytes: int) -> Comparison:
    """The comparison without control characters in its words.

    Raises ``InvalidArgument`` that names the field, such as ``variants[2].adapter_scale``, for whatever is out of
    bounds by itself; whether a persona exists or a prompt fits shows later. ``max_text_bytes`` counts UTF-8.
    """
    text, situation = clean_words(TurnRequest("", comparison.text, comparison.situation), max_text_bytes)
    if not 1 <= len(comparison.variants) <= MAX_VARIANTS:
        raise InvalidArgument(
            f"a comparison has 1 to {MAX_VARIANTS} variants, not {len(comparison.variants)}", field="variants"
        )
    if not 0 <= comparison.top_tokens <= MAX_TOP_TOKENS:
        raise InvalidArgument(
            f"top_tokens must be at most {MAX_TOP_TOKENS}, not {comparison.top_tokens}", field="top_tokens"
        )
    _check_sampling(comparison.sampling)
    for index, variant in enumerate(comparison.variants):
        with _inside(f"variants[{index}]"):
            _check_variant(variant)
    return replace(comparison, text=text, situation=situation)


def sampling_over(below: SamplingOverrides, above: SamplingOverrides) -> SamplingOverrides:
    """``above`` over ``below``, field by field; stop strings of both count."""
    given = {f.name: value for f in fields(above) if (value := getattr(above, f.name)) is not None}
    return replace(below, **{**given, "stop": below.stop + above.stop})


def _check_variant(variant: Variant) -> None:
    kind = variant.kind
    if len(variant.label) > MAX_LABEL_CHARACTERS:
        raise InvalidArgument(
            f"label has {len(variant.label)} characters; at most {MAX_LABEL_CHARACTERS} are allowed", field="label"
        )
    if kind is VariantKind.BASE and variant.persona_id:
        raise InvalidArgument(
            "the base model speaks without a persona; leave persona_id empty, or choose another kind",
            field="persona_id",
        )
    if kind is not VariantKind.BASE and not variant.persona_id:
        raise InvalidArgument(f"a variant of kind {kind} needs a persona_id", field="persona_id")
    if variant.adapter_scale is not None:
        if not kind.has_adapter:
            raise InvalidArgument(f"a variant of kind {kind} has no adapter to scale", field="adapter_scale")
        if not 0 <= variant.adapter_scale <= MAX_ADAPTER_SCALE:  # also false for NaN
            raise InvalidArgument(
                f"adapter_scale must be 0 to {MAX_ADAPTER_SCALE:g}, not {variant.adapter_scale:g}",
                field="adapter_scale",
            )
    if variant.system_prompt is not None:
        if not kind.has_prompt:
            raise InvalidArgument(f"a variant of kind {kind} has no system prompt to replace", field="system_prompt")
        if len(variant.system_prompt) > MAX_SYSTEM_CHARACTERS:
            raise InvalidArgument(
                f"system_prompt has {len(variant.system_prompt)} characters; at most {MAX_SYSTEM_CHARACTERS} "
                "are allowed",
                field="system_prompt",
            )
    _check_sampling(variant.sampling)


def _check_sampling(sampling: SamplingOverrides) -> None:
    merged_sampling(Sampling(), sampling)  # type: ignore[call-arg]
    merged_stops([], sampling.stop)


@contextmanager
def _inside(place: str) -> Iterator[None]:
    """Makes errors name their field, and say it, as seen from the whole request."""
    try:
        yield
    except InvalidArgument as error:
        raise InvalidArgument(f"{place}: {error.message}", field=f"{place}.{error.field}") from error
