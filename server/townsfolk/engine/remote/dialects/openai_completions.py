"""The part that vLLM, SGLang, trtllm-serve and NIM share: ``/v1/completions`` with token ids in and out."""

from __future__ import annotations

from typing import Any

from townsfolk.engine.messages import TokenLikelihood
from townsfolk.engine.remote.dialects.base import MAX_SEED, Chunk, LineRequest
from townsfolk.engine.remote.server import Server

TOKEN_ID_PREFIX = "token_id:"  # how vLLM writes a token under `return_tokens_as_token_ids`


class OpenAiCompletions:
    """Base of the dialects that speak it. Fields that one of them adds or lacks are its own matter."""

    health_path = "/health"
    takes_token_ids = True
    likelihoods = True
    log_probabilities = True
    scales = False
    guides = True
    needs_store = False
    lists_adapters = True
    honours_patterns = False
    draws_by_min_p = True

    def body(self, request: LineRequest) -> dict[str, Any]:
        """The fields that all of them know."""
        sampling = request.sampling
        return {
            "model": request.model,
            "prompt": request.prompt,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
            "seed": sampling.seed & MAX_SEED,
            "stop_token_ids": request.stop_ids,
            "ignore_eos": not request.ends_with_model,
        }

    def chunk(self, event: dict[str, Any]) -> Chunk:
        choices = event.get("choices") or []
        details = (event.get("usage") or {}).get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens")
        if not choices:  # the last event, which tells the usage
            return Chunk(cached_tokens=cached)
        choice = choices[0]
        ids = [int(token) for token in choice.get("token_ids") or []]
        log_probabilities, likelihoods = _likelihoods(choice.get("logprobs") or {})
        return Chunk(
            token_ids=ids,
            text=choice.get("text") or "",
            log_probabilities=log_probabilities,
            likelihoods=likelihoods,
            finish=choice.get("finish_reason") or "",
            cached_tokens=cached,
        )

    async def models(self, server: Server) -> list[dict[str, Any]]:
        return listed(await server.ask("GET", "/v1/models"))

    async def adapters(self, server: Server) -> dict[str, Any]:
        return {str(model["id"]): model["id"] for model in await self.models(server) if model.get("parent")}


def listed(answer: Any) -> list[dict[str, Any]]:
    """The entries of a ``/v1/models`` answer."""
    data = answer.get("data") if isinstance(answer, dict) else None
    return [model for model in data if isinstance(model, dict) and "id" in model] if isinstance(data, list) else []


def _likelihoods(logprobs: dict[str, Any]) -> tuple[list[float], list[TokenLikelihood]]:
    tokens: list[str] = logprobs.get("tokens") or []
    own: list[float | None] = logprobs.get("token_logprobs") or []
    candidates: list[dict[str, float] | None] = logprobs.get("top_logprobs") or [None] * len(tokens)
    sampled = [float("-inf") if value is None else float(value) for value in own]
    if not all(token.startswith(TOKEN_ID_PREFIX) for token in tokens):
        return sampled, []
    likelihoods = []
    for token, value, others in zip(tokens, sampled, candidates, strict=True):
        ranked = sorted((others or {}).items(), key=lambda entry: -entry[1])
        ids = [_token_id(name) for name, _ in ranked]
        likelihoods.append(TokenLikelihood(_token_id(token), value, ids, [float(v) for _, v in ranked]))
    return sampled, likelihoods


def _token_id(name: str) -> int:
    return int(name.removeprefix(TOKEN_ID_PREFIX))
