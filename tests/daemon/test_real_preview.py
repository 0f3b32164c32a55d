"""Compare with the real model and the shipped personas: variants share steps, and their numbers are the model's."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon
from townsfolk.engine.process import EngineProcess
from townsfolk.v1.common_pb2 import Finished, SamplingParams
from townsfolk.v1.preview_pb2 import (
    VARIANT_KIND_ADAPTER_ONLY,
    VARIANT_KIND_BASE,
    VARIANT_KIND_PROMPT_ONLY,
    CompareRequest,
    CompareResponse,
    Variant,
)
from townsfolk.v1.preview_pb2_grpc import PreviewServiceStub

pytestmark = [pytest.mark.slow, pytest.mark.real_model]

PERSONAS = Path(__file__).resolve().parents[2] / "personas"
SMITH = "dwarf_smith"
VARIANTS = [
    Variant(kind=VARIANT_KIND_BASE),
    Variant(persona_id=SMITH, kind=VARIANT_KIND_PROMPT_ONLY),
    Variant(persona_id=SMITH, kind=VARIANT_KIND_ADAPTER_ONLY),
    Variant(persona_id=SMITH, adapter_scale=0.0),
    Variant(persona_id=SMITH, adapter_scale=0.5),
    Variant(persona_id=SMITH),
    Variant(persona_id="forest_elf"),
    Variant(persona_id=SMITH),
]
REQUEST = CompareRequest(
    text="What is the blade over the forge?", variants=VARIANTS, sampling=SamplingParams(seed=11, max_tokens=32)
)


@pytest_asyncio.fixture
async def previews(real_model_path: Path) -> AsyncGenerator[Any, None]:
    """The preview service of a daemon with the real engine."""
    settings = Settings.model_validate(
        {
            "daemon": {"address": "127.0.0.1:0", "drain_grace_s": 0},
            "engine": {"model": real_model_path},
            "personas": {"folders": [PERSONAS]},
        }
    )
    daemon = Daemon(settings, EngineProcess(settings.engine))
    await daemon.start()
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        yield PreviewServiceStub(channel)
    await daemon.stop()


async def compare(previews: Any, request: CompareRequest) -> list[list[CompareResponse]]:
    """The responses to each variant."""
    of_variant: list[list[CompareResponse]] = [[] for _ in request.variants]
    async for response in previews.Compare(request, timeout=300):
        of_variant[response.variant_index].append(response)
    return of_variant


def ends(of_variant: list[list[CompareResponse]]) -> list[Finished]:
    assert all(responses[-1].event.HasField("finished") for responses in of_variant)
    return [responses[-1].event.finished for responses in of_variant]


async def test_variants_of_the_real_model_share_their_steps_and_differ_by_what_they_are(previews: Any) -> None:
    await compare(previews, REQUEST)  # which reads the adapters, so that nobody waits for a disk below
    found = ends(await compare(previews, REQUEST))
    base, prompt, adapter, scale_0, scale_half, smith, elf, again = (end.text for end in found)
    assert scale_0 == prompt, "at scale 0 only the prompt is left"
    assert smith == again, "with one seed the same variant says the same"
    assert len({base, prompt, adapter, scale_half, smith, elf}) == 6
    for end in found:
        assert end.stats.max_batch_rows >= len(VARIANTS) - 1
        assert end.stats.max_batch_adapters == 2
        assert end.stats.shared_steps > 0
    assert max(end.stats.first_step for end in found) - min(end.stats.first_step for end in found) <= len(VARIANTS)


async def test_every_token_of_the_real_model_has_its_probability(previews: Any) -> None:
    request = CompareRequest()
    request.CopyFrom(REQUEST)
    request.top_tokens = 20
    of_variant = await compare(previews, request)
    plain = ends(await compare(previews, REQUEST))
    assert [end.text for end in ends(of_variant)] == [end.text for end in plain], "asking changes no line"
    for responses, end in zip(of_variant, ends(of_variant), strict=True):
        tokens = [token for response in responses for token in response.tokens]
        ended_by_token = tokens[-1].sampled.piece == b"<|im_end|>"
        assert len(tokens) == end.stats.completion_tokens + ended_by_token
        assert [token.position for token in tokens] == list(range(len(tokens)))
        spoken = b"".join(token.sampled.piece for token in tokens).removesuffix(b"<|im_end|>")
        assert spoken.decode("utf-8", "ignore").strip() == end.text
        for token in tokens:
            likelihoods = [candidate.log_probability for candidate in token.candidates]
            assert likelihoods == sorted(likelihoods, reverse=True)
            assert sum(map(math.exp, likelihoods)) <= 1.0001
            assert token.sampled.log_probability <= likelihoods[0]
            known = {candidate.token_id: candidate.log_probability for candidate in token.candidates}
            assert known.get(token.sampled.token_id, token.sampled.log_probability) == token.sampled.log_probability


async def test_greedy_lines_take_the_likeliest_token_where_nothing_is_penalised(previews: Any) -> None:
    request = CompareRequest(
        text="Who are you?",
        variants=[VARIANTS[0], VARIANTS[5]],
        sampling=SamplingParams(temperature=0, repetition_penalty=1, max_tokens=16),
        top_tokens=1,
    )
    for responses in await compare(previews, request):
        tokens = [token for response in responses for token in response.tokens]
        assert len(tokens) > 3
        assert [token.sampled.token_id for token in tokens] == [token.candidates[0].token_id for token in tokens]
