"""SGLang (``sglang.launch_server``): adapters are asked for as ``base:adapter``."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from townsfolk.engine.remote.dialects.base import LineRequest, RemoteAdapter, guided
from townsfolk.engine.remote.dialects.openai_completions import OpenAiCompletions
from townsfolk.engine.remote.server import Server, Unknown
from townsfolk.errors import FailedPrecondition, InvalidArgument

EVERY_TOKEN = -1  # what it calls a switched-off top_k


class Sglang(OpenAiCompletions):
    """Start it with ``--enable-lora --max-lora-rank R --lora-target-modules all``."""

    name = "sglang"
    likelihoods = False  # it names candidates by their text, which does not tell the token

    def line(self, request: LineRequest) -> tuple[str, dict[str, Any]]:
        body = self.body(request)
        if request.adapter is not None:
            body["model"] = f"{request.model}:{request.handle}"
        body |= {"top_k": request.sampling.top_k or EVERY_TOKEN, "return_token_ids": True, "no_stop_trim": True}
        if request.top_tokens:
            body["logprobs"] = request.top_tokens
        if request.priority is not None:
            body["priority"] = request.priority
        if request.json_schema:
            body["response_format"] = guided(request.json_schema)
        return "/v1/completions", body

    async def load(self, server: Server, adapter: RemoteAdapter, timeout_s: float) -> Any:
        body = {"lora_name": adapter.name, "lora_path": adapter.path}
        try:
            await server.ask("POST", "/load_lora_adapter", body, timeout_s=timeout_s)
        except (InvalidArgument, Unknown) as error:
            if adapter.name not in await self.adapters(server):  # else another daemon was quicker
                raise FailedPrecondition(
                    f"{server.url} did not load {adapter.name}: {error}; start it with --enable-lora", field="adapter"
                ) from error
        return adapter.name

    async def unload(self, server: Server, name: str, handle: Any) -> None:
        with suppress(InvalidArgument, Unknown):  # it has been forgotten already
            await server.ask("POST", "/unload_lora_adapter", {"lora_name": name})
