"""The protocol server with a model behind it: vLLM's protocol outside, the embedded engine inside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tests.engine.remote.protocol_server import SERVED_MODEL, ProtocolServer, Refusal
from townsfolk.config import EngineSettings
from townsfolk.engine.adapter_files import adapter_digest
from townsfolk.engine.messages import AdapterRef, Finished, SamplingParams, Started, Step, TokenLikelihood
from townsfolk.engine.process import EngineProcess
from townsfolk.errors import InvalidArgument, ResourceExhausted, TownsfolkError

Told = tuple[int, TokenLikelihood | None]  # a token, and how likely it was

HALF_A_CHARACTER = "\ufffd"  # at the end of a text whose last token begins one
CODES: dict[type[TownsfolkError], int] = {InvalidArgument: 400, ResourceExhausted: 429}


class _Telling:
    """A listener that hands everything on, the line's end too, to whoever asks for it."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[Told | None] = asyncio.Queue()
        self.cached_tokens = 0

    def started(self, started: Started) -> None:
        self.cached_tokens = started.cached_tokens

    def sampled(self, token_id: int, step: Step, likelihood: TokenLikelihood | None = None) -> None:
        self.told.put_nowait((token_id, likelihood))


class ComputingServer(ProtocolServer):
    """Speaks as vLLM does; its lines are those of an embedded engine with ``settings``."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__("vllm")
        self._engine = EngineProcess(settings)
        self._refs: dict[str, AdapterRef] = {}

    async def start(self) -> None:
        await self._engine.start()
        self.tokenizer = Tokenizer.from_str(self._engine.info.tokenizer_json)
        await super().start()

    async def kill(self) -> None:
        await super().kill()
        await self._engine.stop()

    def _models(self) -> list[dict[str, Any]]:
        first, *others = super()._models()
        return [first | {"max_model_len": self._engine.info.max_context}, *others]

    def _load(self, name: str, path: str) -> Any:
        answer = super()._load(name, path)
        self._refs[name] = AdapterRef(adapter_digest(Path(path)), path)
        return answer

    def _vllm(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        adapter = None if body["model"] == SERVED_MODEL else self._refs.get(body["model"])
        if adapter is None and body["model"] != SERVED_MODEL:
            raise Refusal(404, f"The model `{body['model']}` does not exist.")
        return self._spoken(body, adapter)

    async def _spoken(self, body: dict[str, Any], adapter: AdapterRef | None) -> AsyncIterator[dict[str, Any]]:
        telling = _Telling()
        line = asyncio.create_task(self._line_of(body, adapter, telling))
        line.add_done_callback(lambda _: telling.told.put_nowait(None))
        ids: list[int] = []
        shown = ""
        try:
            while (told := await telling.told.get()) is not None:
                ids.append(told[0])
                text = self.tokenizer.decode(ids)
                fresh = "" if text.endswith(HALF_A_CHARACTER) else text[len(shown) :]
                shown += fresh
                yield self._event(body, fresh, told)
            if isinstance(error := line.exception(), TownsfolkError):
                yield {"error": {"message": error.message, "code": CODES.get(type(error), 500)}}
                return
            yield self._event(body, self.tokenizer.decode(ids)[len(shown) :], None, line.result().reason)
            usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids)}
            details = {"cached_tokens": telling.cached_tokens}
            yield {"id": "cmpl-1", "choices": [], "usage": usage | {"prompt_tokens_details": details}}
        finally:
            line.cancel()
            await asyncio.wait([line])

    async def _line_of(self, body: dict[str, Any], adapter: AdapterRef | None, telling: _Telling) -> Finished:
        sampling = SamplingParams(
            temperature=body["temperature"],
            top_k=max(body["top_k"], 0),
            top_p=body["top_p"],
            min_p=body["min_p"],
            repetition_penalty=body["repetition_penalty"],
            seed=body["seed"],
            max_tokens=body["max_tokens"],
        )
        own_ends = [] if body["ignore_eos"] else self._engine.info.eos_ids
        guide = body.get("response_format")
        return await self._engine.generate(
            body["prompt"],
            sampling,
            [*body["stop_token_ids"], *own_ends],
            telling,
            adapter,
            -body.get("priority", 0),
            body.get("logprobs", 0),
            json.dumps(guide["json_schema"]["schema"]) if guide else "",
        )

    def _event(self, body: dict[str, Any], text: str, told: Told | None, finish: str | None = None) -> dict[str, Any]:
        token, likelihood = told or (None, None)
        choice: dict[str, Any] = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        choice["token_ids"] = [] if token is None else [token]
        if likelihood is not None:
            ranked = zip(likelihood.candidate_ids, likelihood.candidate_log_probabilities, strict=True)
            choice["logprobs"] = {
                "tokens": [f"token_id:{token}"],
                "token_logprobs": [likelihood.log_probability],
                "top_logprobs": [{f"token_id:{candidate}": value for candidate, value in ranked}],
                "text_offset": [0],
            }
        return {"id": "cmpl-1", "object": "text_completion", "model": body["model"], "choices": [choice]}
