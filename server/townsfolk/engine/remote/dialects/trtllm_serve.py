"""``trtllm-serve`` of TensorRT-LLM: every line brings its adapter's name, id and path."""

from __future__ import annotations

import json
from typing import Any

from townsfolk.engine.remote.dialects.base import LineRequest, RemoteAdapter
from townsfolk.engine.remote.dialects.openai_completions import OpenAiCompletions
from townsfolk.engine.remote.server import Server

ID_DIGITS = 13  # of the digest in hexadecimal: 52 bits, which every JSON reader keeps whole


class TrtllmServe(OpenAiCompletions):
    """Start it with a ``lora_config`` whose ``max_lora_rank`` and ``lora_target_modules`` fit the adapters.

    It refuses fields that it does not know, and it keeps whatever it has once loaded. Its KV cache knows adapters by
    their integer id, so the id comes from the digest: it never means other weights.
    """

    name = "trtllm_serve"
    likelihoods = False
    log_probabilities = False
    lists_adapters = False

    def line(self, request: LineRequest) -> tuple[str, dict[str, Any]]:
        body = self.body(request) | {"detokenize": False, "add_special_tokens": False}
        # one candidate is the greedy choice in every version; a temperature of 0 is not
        body["top_k"] = request.sampling.top_k if request.sampling.temperature > 0 else 1
        if request.sampling.temperature <= 0:
            body["temperature"] = 1.0
        if request.adapter is not None:
            body["lora_request"] = {
                "lora_name": request.adapter.name,
                "lora_int_id": int(request.adapter.digest[:ID_DIGITS], 16),
                "lora_path": request.adapter.path,
            }
        if request.json_schema:
            body["response_format"] = {"type": "json", "schema": json.loads(request.json_schema)}
        return "/v1/completions", body

    async def adapters(self, server: Server) -> dict[str, Any]:
        return {}  # it lists none, and takes each with its first line

    async def load(self, server: Server, adapter: RemoteAdapter, timeout_s: float) -> Any:
        return adapter.name

    async def unload(self, server: Server, name: str, handle: Any) -> None:
        """It cannot forget an adapter; which ones it keeps at hand is up to its cache."""
