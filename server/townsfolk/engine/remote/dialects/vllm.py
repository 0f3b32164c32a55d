"""vLLM (``vllm serve``): adapters are models of their own name, loaded and unloaded by two calls."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from townsfolk.engine.remote.dialects.base import LineRequest, RemoteAdapter, guided
from townsfolk.engine.remote.dialects.openai_completions import OpenAiCompletions
from townsfolk.engine.remote.server import Server, Unknown
from townsfolk.errors import FailedPrecondition, InvalidArgument


class Vllm(OpenAiCompletions):
    """Start it with ``--enable-lora --max-loras N`` and ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=True``.

    Its default of one adapter in a batch (``max_loras``) lets different characters wait for each other.
    """

    name = "vllm"
    honours_patterns = True
    load_path = "/v1/load_lora_adapter"
    unload_path = "/v1/unload_lora_adapter"

    def line(self, request: LineRequest) -> tuple[str, dict[str, Any]]:
        body = self.body(request)
        if request.adapter is not None:
            body["model"] = request.handle
        body |= {"top_k": request.sampling.top_k, "add_special_tokens": False, "return_token_ids": True}
        if request.top_tokens:
            body |= {"logprobs": request.top_tokens, "return_tokens_as_token_ids": True}
        if request.priority is not None:
            body["priority"] = -request.priority  # there, lower goes first
        if request.json_schema:
            body["response_format"] = guided(request.json_schema)
        return "/v1/completions", body

    async def load(self, server: Server, adapter: RemoteAdapter, timeout_s: float) -> Any:
        body = {"lora_name": adapter.name, "lora_path": adapter.path}
        try:
            await server.ask("POST", self.load_path, body, timeout_s=timeout_s)
        except Unknown as error:
            raise FailedPrecondition(
                f"{server.url} cannot load adapters: start it with --enable-lora and "
                f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and give it a path that it sees ({error})",
                field="engine.remote",
            ) from error
        except InvalidArgument as error:
            if adapter.name not in await self.adapters(server):  # else another daemon was quicker
                raise FailedPrecondition(error.message, field="adapter") from error
        return adapter.name

    async def unload(self, server: Server, name: str, handle: Any) -> None:
        with suppress(Unknown):  # it has been forgotten already
            await server.ask("POST", self.unload_path, {"lora_name": name})
