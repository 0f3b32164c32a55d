"""What each engine can do beside making lines, known without loading it."""

from __future__ import annotations

from collections.abc import Iterable

from townsfolk.config import EngineSettings
from townsfolk.engine.messages import Capabilities
from townsfolk.engine.remote.dialects.kinds import DIALECTS
from townsfolk.engine.remote.settings import ServerKind

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


def remote(servers: Iterable[ServerKind]) -> Capabilities:
    """What at least one of the servers can do: a line that needs it goes to one that can."""
    dialects = [DIALECTS[server] for server in servers]
    return Capabilities(
        adapter_scale=any(dialect.scales for dialect in dialects),
        token_likelihoods=any(dialect.likelihoods for dialect in dialects),
        guided_decoding=any(dialect.guides for dialect in dialects),
        seeded=False,
        adapter_patterns=any(dialect.honours_patterns for dialect in dialects),
        shared_prefix=False,
        frees_adapters=False,
    )
