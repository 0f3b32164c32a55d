"""What each engine can do beside making lines, known without loading it."""

from __future__ import annotations

from townsfolk.config import EngineSettings
from townsfolk.engine.messages import Capabilities

EMBEDDED = Capabilities(
    adapter_scale=True,
    token_likelihoods=True,
    guided_decoding=True,
    seeded=True,
    adapter_patterns=True,
    shared_prefix=False,
    frees_adapters=True,
)


def tensorrt_llm(settings: EngineSettings) -> Capabilities:
    """TensorRT-LLM's, with these settings."""
    return Capabilities(
        adapter_scale=False,
        token_likelihoods=False,
        guided_decoding=settings.tensorrt_llm.guided_decoding != "off",
        seeded=False,
        adapter_patterns=False,
        shared_prefix=False,
        frees_adapters=False,
    )
