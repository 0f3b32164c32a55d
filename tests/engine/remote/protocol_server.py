"""A server on loopback that speaks the protocol of each kind of server, as recorded from them or from their sources.

What it says is scripted: every byte is a token, a line without an adapter is ``BASE_REPLY``, one with an adapter names
that adapter. It refuses any field that the real server does not have, so a misspelt one fails a test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tests.fakes import tiny_tokenizer, tiny_tokenizer_json

BASE_REPLY = " nobody in particular"
JSON_REPLY = '{"title":"The Lamp"}'
END = tiny_tokenizer().control_id("<|im_end|>")
SERVED_MODEL = "base"
CONTEXT = 256

OPENAI_FIELDS = {"model", "prompt", "stream", "stream_options", "max_tokens", "temperature", "top_p", "seed", "stop"}
SAMPLING_FIELDS = {"top_k", "min_p", "repetition_penalty", "stop_token_ids", "ignore_eos", "skip_special_tokens"}
# What each server's completion request has beside those (of those that are sent or might be).
VLLM_FIELDS = {
    *OPENAI_FIELDS,
    *SAMPLING_FIELDS,
    *(
        "logprobs",
        "response_format",
        "priority",
        "add_special_tokens",
        "return_token_ids",
        "return_tokens_as_token_ids",
    ),
}
FIELDS = {
    "vllm": VLLM_FIELDS,
    "nim": VLLM_FIELDS,
    "sglang": {
        *OPENAI_FIELDS,
        *SAMPLING_FIELDS,
        *("logprobs", "response_format", "priority", "return_token_ids", "no_stop_trim", "lora_path"),
    },
    # it refuses whatever it does not know (`extra="forbid"`), and `logprobs` too
    "trtllm_serve": {
        *OPENAI_FIELDS,
        *SAMPLING_FIELDS,
        *("response_format", "lora_request", "detokenize", "add_special_tokens"),
    },
    "lorax": {"inputs", "parameters"},
    "llama_cpp": {
        *("prompt", "stream", "return_tokens", "cache_prompt", "n_predict", "temperature", "top_k", "top_p", "min_p"),
        *("repeat_penalty", "repeat_last_n", "seed", "samplers", "lora", "n_probs", "json_schema"),
    },
}
LORAX_PARAMETERS = {
    *("adapter_id", "adapter_source", "temperature", "repetition_penalty", "top_k", "top_p", "do_sample", "seed"),
    *("max_new_tokens", "return_full_text", "stop", "details", "return_k_alternatives", "response_format"),
}


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Script:
    """How the server behaves; tests change it while it runs.

    ``codes`` are given to the next lines instead of an answer. ``hold`` stops a line after ``hold_after`` tokens until
    it is set; ``break_after`` tokens the connection breaks. ``ignores_adapters``: it answers as the base model does.
    """

    codes: list[int] = field(default_factory=list)
    hold: asyncio.Event | None = None
    hold_after: int = 0
    break_after: int | None = None
    error_event_after: int | None = None
    ignores_adapters: bool = False
    text_only: bool = False
    unwell: bool = False
    drops: int = 0  # so many lines find their connection closed, as an idle one may be
    refuses_to_load: bool = False


class ProtocolServer:
    """One server of the given kind. ``requests`` are the lines it was asked for, ``cancelled`` those given up."""

    def __init__(self, kind: str, adapter_folder: Path | None = None) -> None:
        self.kind = kind
        self.script = Script()
        self.adapters: dict[str, str] = {}  # name → path; for llama.cpp in the order of their numbers
        self.requests: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.authorizations: set[str] = set()
        self.cancelled = 0
        self.connections = 0
        self.port = 0
        self._adapter_folder = adapter_folder  # that NIM watches
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.tokenizer: Tokenizer = Tokenizer.from_str(tiny_tokenizer_json())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The requests that were no probes of the daemon."""
        return [request for request in self.requests if not self._is_probe(request)]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """Stop at once, as a killed process does: connections break, adapters are forgotten."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None
        if self.kind != "llama_cpp":  # which is started with them
            self.adapters.clear()

    # ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
                fields = [line.partition(b":") for line in head.split(b"\r\n")]
                self.authorizations |= {v.strip().decode() for name, _, v in fields if name.lower() == b"authorization"}
                length = next((int(v) for name, _, v in fields if name.lower() == b"content-length"), 0)
                body = json.loads(await reader.readexactly(length)) if length else {}
                await self._answer(method, path, body, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(
        self, method: str, path: str, body: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.calls.append(f"{method} {path}")
        try:
            if method == "POST" and path in ("/v1/completions", "/generate_stream", "/completion"):
                if self.script.drops:
                    self.script.drops -= 1
                    raise ConnectionResetError
                await self._stream(self._line(path, body), reader, writer)
                return
            answer = self._call(method, path, body)
            _send(writer, 200, answer if isinstance(answer, bytes) else json.dumps(answer).encode())
        except Refusal as refusal:
            _send(writer, refusal.code, self._refusal(refusal))
        await writer.drain()

    def _refusal(self, refusal: Refusal) -> bytes:
        message, code = str(refusal), refusal.code
        if self.kind == "lorax":
            return json.dumps({"error": message, "error_type": "validation"}).encode()
        if self.kind == "llama_cpp":
            return json.dumps({"error": {"code": code, "message": message, "type": "invalid_request_error"}}).encode()
        return json.dumps(
            {"error": {"message": message, "type": "BadRequestError", "param": None, "code": code}}
        ).encode()

    async def _stream(
        self, events: AsyncIterator[dict[str, Any]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        gone = asyncio.create_task(reader.read(1))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                following = asyncio.ensure_future(anext(events, None))
                await asyncio.wait([following, gone], return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    following.cancel()
                    raise ConnectionResetError
                if (event := following.result()) is None:
                    break
                _send_chunk(writer, f"data: {json.dumps(event)}\n\n".encode())
                await writer.drain()
            if self.kind in ("vllm", "nim", "sglang", "trtllm_serve"):
                _send_chunk(writer, b"data: [DONE]\n\n")
            _send_chunk(writer, b"")
            await writer.drain()
        except ConnectionError:
            self.cancelled += self.script.break_after is None
            raise
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await gone

    # ── calls that are no lines ──────────────────────────────────────────────────────────────────────────────

    def _call(self, method: str, path: str, body: Any) -> Any:
        if path in ("/health", "/v1/health/ready"):
            if self.script.unwell:
                raise Refusal(503, "loading")
            return {"status": "ok"}
        if path == "/v1/models":
            return {"object": "list", "data": self._models()}
        if self.kind == "llama_cpp" and path == "/props":
            return {"default_generation_settings": {"n_ctx": CONTEXT}}
        if self.kind == "llama_cpp" and path == "/lora-adapters":
            return [{"id": i, "path": p, "scale": 1.0} for i, p in enumerate(self.adapters.values())]
        loads = {"vllm": "/v1/load_lora_adapter", "sglang": "/load_lora_adapter"}.get(self.kind)
        unloads = {"vllm": "/v1/unload_lora_adapter", "sglang": "/unload_lora_adapter"}.get(self.kind)
        if path == loads:
            return self._load(body["lora_name"], body["lora_path"])
        if path == unloads:
            if self.adapters.pop(body["lora_name"], None) is None:
                raise Refusal(404 if self.kind == "vllm" else 400, f"{body['lora_name']} cannot be found")
            return b"Success"
        raise Refusal(404, "Not Found")

    def _load(self, name: str, path: str) -> Any:
        if self.script.refuses_to_load or not (Path(path) / "adapter_config.json").exists():
            raise Refusal(400, f"no adapter at {path}")
        if name in self.adapters:
            raise Refusal(400, f"{name} has already been loaded")
        self.adapters[name] = path
        return (
            f"Success: LoRA adapter '{name}' added successfully.".encode() if self.kind == "vllm" else {"success": True}
        )

    def _models(self) -> list[dict[str, Any]]:
        base = {"id": SERVED_MODEL, "object": "model", "root": "/models/base", "parent": None, "max_model_len": CONTEXT}
        if self.kind in ("trtllm_serve", "lorax", "llama_cpp"):
            return [{"id": SERVED_MODEL, "object": "model"}]
        return [base, *({"id": name, "object": "model", "parent": SERVED_MODEL} for name in self._known_adapters())]

    def _known_adapters(self) -> list[str]:
        if self.kind == "nim" and self._adapter_folder is not None:
            return [path.name for path in self._adapter_folder.iterdir() if not path.name.startswith(".")]
        return list(self.adapters)

    # ── lines ────────────────────────────────────────────────────────────────────────────────────────────────

    def _line(self, path: str, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        if unknown := set(body) - FIELDS[self.kind]:
            raise Refusal(400, f"extra fields: {sorted(unknown)}")
        wanted = {"lorax": "/generate_stream", "llama_cpp": "/completion"}.get(self.kind, "/v1/completions")
        if path != wanted:
            raise Refusal(404, "Not Found")
        self.requests.append(body)
        if self.script.codes and not self._is_probe(body):
            raise Refusal(self.script.codes.pop(0), "as the test wants it")
        return getattr(self, f"_{self.kind}")(body)  # type: ignore[no-any-return]

    def _reply(self, adapter: str | None, max_tokens: int, *, guided: bool) -> tuple[list[int], str]:
        """The tokens of a reply, its end token included, and why it ends."""
        spoken = f" {adapter}!" if adapter and not self.script.ignores_adapters else BASE_REPLY
        ids = [*tiny_tokenizer().encode(JSON_REPLY if guided else spoken), END]
        return ids[:max_tokens], "stop" if len(ids) <= max_tokens else "length"

    async def _tokens(self, request: dict[str, Any], ids: list[int]) -> AsyncIterator[tuple[int, bool]]:
        """The tokens in their time, each with whether it is the last."""
        for place, token in enumerate(ids):
            if self.script.hold is not None and place == self.script.hold_after and not self._is_probe(request):
                await self.script.hold.wait()
            if place == self.script.break_after and not self._is_probe(request):
                raise ConnectionResetError
            await asyncio.sleep(0)
            yield token, place == len(ids) - 1

    def _is_probe(self, request: dict[str, Any]) -> bool:
        prompt = request.get("prompt") or request.get("inputs") or ""
        text = prompt if isinstance(prompt, str) else tiny_tokenizer().decode(prompt)
        return "The stranger at the gate" in text

    async def _openai(
        self, body: dict[str, Any], adapter: str | None, *, ids_shown: bool
    ) -> AsyncIterator[dict[str, Any]]:
        assert all(isinstance(token, int) for token in body["prompt"])
        ids, finish = self._reply(adapter, body["max_tokens"], guided="response_format" in body)
        told = 0
        async for token, last in self._tokens(body, ids):
            if told == self.script.error_event_after and not self._is_probe(body):
                yield {"error": {"message": "out of memory", "code": 500}}
                return
            told += 1
            choice: dict[str, Any] = {"index": 0, "text": tiny_tokenizer().decode([token]), "logprobs": None}
            choice["finish_reason"] = finish if last else None
            if ids_shown and not self.script.text_only:
                choice["token_ids"] = [token]
            if body.get("logprobs"):
                choice["logprobs"] = self._log_probabilities(token, body)
            yield {"id": "cmpl-1", "object": "text_completion", "model": body["model"], "choices": [choice]}
        usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids)}
        yield {"id": "cmpl-1", "choices": [], "usage": usage | {"prompt_tokens_details": {"cached_tokens": 3}}}

    def _log_probabilities(self, token: int, body: dict[str, Any]) -> dict[str, Any]:
        def name(token: int) -> str:
            return f"token_id:{token}" if body.get("return_tokens_as_token_ids") else chr(token % 256)

        top = {name(token): -0.5, name((token + 1) % 256): -1.5, name((token + 2) % 256): -2.5}
        return {"tokens": [name(token)], "token_logprobs": [-0.5], "top_logprobs": [top], "text_offset": [0]}

    def _vllm(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        adapter = None if body["model"] == SERVED_MODEL else body["model"]
        if adapter is not None and adapter not in self._known_adapters():
            raise Refusal(404, f"The model `{adapter}` does not exist.")
        return self._openai(body, adapter, ids_shown=bool(body.get("return_token_ids")))

    _nim = _vllm

    def _sglang(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        model, _, adapter = body["model"].partition(":")
        if model != SERVED_MODEL or (adapter and adapter not in self.adapters):
            raise Refusal(400, f"The following requested LoRA adapters are not loaded: {adapter}")
        return self._openai(body, adapter or None, ids_shown=bool(body.get("return_token_ids")))

    def _trtllm_serve(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        adapter = body.get("lora_request")
        if adapter is not None and not Path(adapter["lora_path"]).is_dir():
            raise Refusal(400, "lora_path does not exist")
        if "response_format" in body and body["response_format"]["type"] != "json":
            raise Refusal(400, "json_schema is not one of text, json, json_object, regex, ebnf, structural_tag")
        shown = body.get("detokenize") is False
        return self._openai(body, adapter and adapter["lora_name"], ids_shown=shown)

    def _lorax(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        parameters = body["parameters"]
        if unknown := set(parameters) - LORAX_PARAMETERS:
            raise Refusal(422, f"unknown field {sorted(unknown)}")
        adapter = parameters.get("adapter_id")
        if adapter is not None and not Path(adapter).is_dir():
            raise Refusal(424, f"no adapter {adapter}")
        return self._lorax_events(body, adapter)

    async def _lorax_events(self, body: dict[str, Any], adapter: str | None) -> AsyncIterator[dict[str, Any]]:
        parameters = body["parameters"]
        guided = "response_format" in parameters
        ids, finish = self._reply(adapter and Path(adapter).name, parameters["max_new_tokens"], guided=guided)
        async for token, last in self._tokens(body, ids):
            special = token == END
            text = "<|im_end|>" if special else tiny_tokenizer().decode([token])
            told: dict[str, Any] = {"id": token, "text": text, "logprob": -0.5, "special": special}
            if wanted := parameters.get("return_k_alternatives"):
                told["alternative_tokens"] = [
                    {"id": token + i, "text": "?", "logprob": -0.5 - i} for i in range(wanted)
                ]
            reason = {"stop": "eos_token", "length": "length"}[finish]
            details = {"finish_reason": reason, "prompt_tokens": 1, "generated_tokens": len(ids), "seed": 0}
            yield {"token": told, "generated_text": "whole" if last else None, "details": details if last else None}

    def _llama_cpp(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        assert all(isinstance(token, int) for token in body["prompt"])
        if body["repeat_last_n"] < 0:
            raise Refusal(400, "Field 'repeat_last_n': Value must be between 0 <= value <= 2147483647")
        # without any number in the list, all adapters are applied as the server was started
        scales = {entry["id"]: entry["scale"] for entry in body["lora"]} or dict.fromkeys(
            range(len(self.adapters)), 1.0
        )
        names = list(self.adapters)
        worn = [f"{names[i]}*{scale:g}" for i, scale in scales.items() if scale]
        return self._llama_cpp_events(body, "+".join(worn) or None)

    async def _llama_cpp_events(self, body: dict[str, Any], adapter: str | None) -> AsyncIterator[dict[str, Any]]:
        ids, finish = self._reply(adapter, body["n_predict"], guided="json_schema" in body)
        async for token, _ in self._tokens(body, ids):
            if token == END:
                continue
            event = {"index": 0, "content": tiny_tokenizer().decode([token]), "tokens": [token], "stop": False}
            if wanted := body.get("n_probs"):
                top = [{"id": (token + i) % 256, "token": "?", "bytes": [], "logprob": -0.5 - i} for i in range(wanted)]
                event["completion_probabilities"] = [{"id": token, "token": "?", "logprob": -0.5, "top_logprobs": top}]
            yield event
        stop_type = {"stop": "eos", "length": "limit"}[finish]
        yield {"content": "", "tokens": [], "stop": True, "stop_type": stop_type, "tokens_predicted": len(ids)}


def _send(writer: asyncio.StreamWriter, code: int, body: bytes) -> None:
    head = f"HTTP/1.1 {code} Status\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


def _send_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
