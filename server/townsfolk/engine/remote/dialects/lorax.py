"""LoRAX: prompts are text, adapters are paths on the server that each line names, tokens come back with their ids."""

from __future__ import annotations

import json
from typing import Any

from townsfolk.engine.messages import TokenLikelihood
from townsfolk.engine.remote.dialects.base import MAX_SEED, Chunk, LineRequest, RemoteAdapter
from townsfolk.engine.remote.dialects.openai_completions import listed
from townsfolk.engine.remote.server import Server, Unknown

MAX_STOPS = 4  # as many as it takes
FINISHED = {"length": "length", "eos_token": "stop", "stop_sequence": "stop"}


class Lorax:
    """Speaks its own ``/generate_stream``: its OpenAI-compatible one tells no token ids."""

    name = "lorax"
    health_path = "/health"
    takes_token_ids = False
    likelihoods = True
    log_probabilities = True
    scales = False
    guides = True
    needs_store = True  # it caches adapters by their path
    lists_adapters = False
    honours_patterns = False
    draws_by_min_p = False

    def line(self, request: LineRequest) -> tuple[str, dict[str, Any]]:
        sampling = request.sampling
        parameters: dict[str, Any] = {
            "max_new_tokens": sampling.max_tokens,
            "seed": sampling.seed & MAX_SEED,
            "stop": request.stop_names[:MAX_STOPS],
            "do_sample": sampling.temperature > 0,
            "return_full_text": False,
        }
        # what is switched off has to be left out: it refuses the value that would mean it
        if sampling.temperature > 0:
            parameters["temperature"] = sampling.temperature
        if sampling.top_p < 1:
            parameters["top_p"] = sampling.top_p
        if sampling.top_k:
            parameters["top_k"] = sampling.top_k
        if sampling.repetition_penalty != 1:
            parameters["repetition_penalty"] = sampling.repetition_penalty
        if request.adapter is not None:
            parameters |= {"adapter_id": request.adapter.path, "adapter_source": "local"}
        if request.top_tokens:
            parameters["return_k_alternatives"] = request.top_tokens
        if request.json_schema:
            parameters["response_format"] = {"type": "json_object", "schema": json.loads(request.json_schema)}
        return "/generate_stream", {"inputs": request.prompt_text, "parameters": parameters}

    def chunk(self, event: dict[str, Any]) -> Chunk:
        token = event.get("token") or {}
        finish = FINISHED.get((event.get("details") or {}).get("finish_reason", ""), "")
        if "id" not in token:
            return Chunk(finish=finish)
        own = float(token.get("logprob") or 0.0)
        others = token.get("alternative_tokens") or []
        candidates = [int(other["id"]) for other in others]
        values = [float(other["logprob"]) for other in others]
        return Chunk(
            token_ids=[int(token["id"])],
            text="" if token.get("special") else token.get("text") or "",
            log_probabilities=[own],
            likelihoods=[TokenLikelihood(int(token["id"]), own, candidates, values)],
            finish=finish,
        )

    async def models(self, server: Server) -> list[dict[str, Any]]:
        try:
            return listed(await server.ask("GET", "/v1/models"))
        except Unknown:  # older versions tell it in /info alone
            info = await server.ask("GET", "/info")
            return [{"id": info["model_id"]}] if isinstance(info, dict) and "model_id" in info else []

    async def adapters(self, server: Server) -> dict[str, Any]:
        return {}  # it lists none, and takes each with its first line

    async def load(self, server: Server, adapter: RemoteAdapter, timeout_s: float) -> Any:
        return adapter.path

    async def unload(self, server: Server, name: str, handle: Any) -> None:
        """It forgets the least used by itself."""
