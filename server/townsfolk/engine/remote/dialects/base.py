"""What a dialect is: how one kind of server is asked for a line, and how adapters come and go there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from townsfolk.engine.messages import SamplingParams, TokenLikelihood
from townsfolk.engine.remote.server import Server

MAX_SEED = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class RemoteAdapter:
    """An adapter as servers know it.

    ``name`` has the digest in it, so that other weights have another name. ``folder`` is where this machine has it,
    ``path`` the same place as the server sees it. ``rank`` is that of its matrices, ``bytes`` the size of its file
    of weights. ``scale``: how strongly a line applies it.
    """

    name: str
    digest: str
    folder: Path
    path: str
    rank: int
    bytes: int
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class LineRequest:
    """One line as it is asked of a server.

    ``prompt`` are token ids; ``prompt_text`` the same for servers that take text only, empty for others.
    ``stop_names`` are the control tokens of ``stop_ids`` as text. ``ends_with_model``: the model's own end of text ends
    the line, too; else servers that can are told to go on. ``handle`` is what the server calls the adapter (see
    ``Dialect.adapters``). ``model`` is the base model's name there.
    """

    model: str
    prompt: list[int]
    prompt_text: str
    sampling: SamplingParams
    stop_ids: list[int]
    stop_names: list[str]
    adapter: RemoteAdapter | None = None
    handle: Any = None
    handles: dict[str, Any] = field(default_factory=dict)
    ends_with_model: bool = True
    priority: int | None = None
    top_tokens: int = 0
    json_schema: str = ""

    @property
    def by_min_p(self) -> bool:
        """Whether ``min_p`` makes a difference: the likeliest token is in any case among those that it leaves."""
        return self.sampling.min_p > 0 and self.sampling.temperature > 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one event of a stream brings: new tokens, or their text where the server tells no ids, and perhaps the end.

    ``log_probabilities`` (natural) and ``likelihoods`` are as long as ``token_ids``, or empty. ``finish`` is stop,
    length or empty.
    """

    token_ids: list[int] = field(default_factory=list)
    text: str = ""
    log_probabilities: list[float] = field(default_factory=list)
    likelihoods: list[TokenLikelihood] = field(default_factory=list)
    finish: str = ""
    cached_tokens: int | None = None


class Dialect(Protocol):
    """One kind of server.

    ``takes_token_ids``: prompts go as ids; else as text. ``likelihoods``: it tells how likely tokens were, by id.
    ``log_probabilities``: it tells at least how likely the sampled tokens were. ``scales``: adapters may be applied at
    any strength. ``guides``: it follows JSON schemas. ``needs_store``: it knows adapters by their path alone.
    ``lists_adapters``: ``adapters`` tells all that are loaded. ``honours_patterns``: adapters may have a
    ``rank_pattern`` and an ``alpha_pattern``. ``draws_by_min_p``: it has that filter.
    """

    name: str
    health_path: str
    takes_token_ids: bool
    likelihoods: bool
    log_probabilities: bool
    scales: bool
    guides: bool
    needs_store: bool
    lists_adapters: bool
    honours_patterns: bool
    draws_by_min_p: bool

    def line(self, request: LineRequest) -> tuple[str, dict[str, Any]]:
        """Path and JSON body that start a streamed line."""
        ...

    def chunk(self, event: dict[str, Any]) -> Chunk:
        """What an event of that stream says."""
        ...

    async def models(self, server: Server) -> list[dict[str, Any]]:
        """The models that the server lists, the base model first: dicts with ``id`` and perhaps ``max_model_len``."""
        ...

    async def adapters(self, server: Server) -> dict[str, Any]:
        """Names of the adapters that are loaded there, each with what the server calls it."""
        ...

    async def load(self, server: Server, adapter: RemoteAdapter, timeout_s: float) -> Any:
        """Have an adapter loaded; returns its handle. Raises ``FailedPrecondition`` where this kind cannot."""
        ...

    async def unload(self, server: Server, name: str, handle: Any) -> None:
        """Have an adapter forgotten; does nothing where servers forget by themselves."""
        ...


def guided(schema: str) -> dict[str, Any]:
    """A JSON schema as OpenAI's ``response_format``."""
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": json.loads(schema)}}
