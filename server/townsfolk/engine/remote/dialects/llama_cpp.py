"""llama.cpp's ``llama-server``: adapters are GGUF files given at its start and applied by number, at any strength."""

from __future__ import annotations

import json
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from townsfolk.engine.messages import TokenLikelihood
from townsfolk.engine.remote.dialects.base import Chunk, LineRequest, RemoteAdapter
from townsfolk.engine.remote.dialects.openai_completions import listed
from townsfolk.engine.remote.server import Server, Unknown
from townsfolk.errors import FailedPrecondition

MAX_SEED = (1 << 32) - 2  # the highest one means a random one
FINISHED = {"limit": "length", "eos": "stop", "word": "stop"}
SAMPLERS = ["penalties", "top_k", "top_p", "min_p", "temperature"]


class LlamaCpp:
    """Start it with ``--lora NAME.gguf`` for each adapter; ``NAME`` is the one that ``docs/remote.md`` tells.

    Lines of different adapters never share a batch there.
    """

    name = "llama_cpp"
    health_path = "/health"
    takes_token_ids = True
    likelihoods = True
    log_probabilities = True
    scales = True
    guides = True
    needs_store = False
    lists_adapters = True
    honours_patterns = False
    draws_by_min_p = True

    def line(self, request: LineRequest) -> tuple[str, dict[str, Any]]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "prompt": request.prompt,
            "stream": True,
            "return_tokens": True,
            "cache_prompt": True,
            "n_predict": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": len(request.prompt) + sampling.max_tokens,  # all of prompt and reply
            "seed": sampling.seed % MAX_SEED,
            "samplers": SAMPLERS,
            # whatever is not named is off; but an empty list would mean the server's own choice
            "lora": [{"id": number, "scale": 0.0} for number in request.handles.values()],
        }
        if request.adapter is not None:
            scales = {number: 0.0 for number in request.handles.values()} | {request.handle: request.adapter.scale}
            body["lora"] = [{"id": number, "scale": scale} for number, scale in scales.items()]
        if request.top_tokens:
            body["n_probs"] = request.top_tokens
        if request.json_schema:
            body["json_schema"] = json.loads(request.json_schema)
        return "/completion", body

    def chunk(self, event: dict[str, Any]) -> Chunk:
        # the last event tells no new token
        finish = FINISHED.get(event.get("stop_type", ""), "stop") if event.get("stop") else ""
        likelihoods = [_likelihood(entry) for entry in event.get("completion_probabilities") or []]
        return Chunk(
            token_ids=[] if finish else [int(token) for token in event.get("tokens") or []],
            text="" if finish else event.get("content") or "",
            log_probabilities=[] if finish else [likelihood.log_probability for likelihood in likelihoods],
            likelihoods=[] if finish else likelihoods,
            finish=finish,
            cached_tokens=(event.get("timings") or {}).get("cache_n"),
        )

    async def models(self, server: Server) -> list[dict[str, Any]]:
        found = listed(await server.ask("GET", "/v1/models"))
        slot_context = (await server.ask("GET", "/props")).get("default_generation_settings", {}).get("n_ctx")
        return [model | ({"max_model_len": slot_context} if slot_context else {}) for model in found]

    async def adapters(self, server: Server) -> dict[str, Any]:
        try:
            found = await server.ask("GET", "/lora-adapters")
        except Unknown:
            return {}
        return {_stem(str(entry["path"])): int(entry["id"]) for entry in found if isinstance(entry, dict)}

    async def load(self, server: Server, adapter: RemoteAdapter, timeout_s: float) -> Any:
        raise FailedPrecondition(
            f"{server.url} has no adapter {adapter.name}, and llama.cpp's server takes them at its start only: convert "
            f"it to GGUF and start the server with --lora {adapter.name}.gguf",
            field="adapter",
        )

    async def unload(self, server: Server, name: str, handle: Any) -> None:
        """It keeps what it was started with."""


def _stem(path: str) -> str:
    """The file's name without its ending, whichever system the server runs on."""
    name = PureWindowsPath(path).name if "\\" in path else PurePosixPath(path).name
    return name.removesuffix(".gguf")


def _likelihood(entry: dict[str, Any]) -> TokenLikelihood:
    others = entry.get("top_logprobs") or []
    return TokenLikelihood(
        int(entry["id"]),
        float(entry["logprob"]),
        [int(other["id"]) for other in others],
        [float(other["logprob"]) for other in others],
    )
