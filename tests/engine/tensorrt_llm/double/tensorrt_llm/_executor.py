"""The loop that computes steps, in a thread of its own, for all requests that are running."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import torch

from tensorrt_llm._model import Model
from tensorrt_llm._request import LoRARequest, SamplingParams
from tensorrt_llm._result import RequestError, RequestOutput, Response
from tensorrt_llm._script import SCRIPT, note

TOKENS_PER_BLOCK = 32


@dataclass(eq=False)
class Request:
    output: RequestOutput
    prompt: list[int]
    sampling: SamplingParams
    lora: LoRARequest | None
    salt: str | None
    max_tokens: int
    matcher: Any = None
    tokens: list[int] = field(default_factory=list)
    cancelled: bool = False

    def __post_init__(self) -> None:
        self.random = torch.Generator().manual_seed((self.sampling.seed or 0) & (2**63 - 1))


class Executor:
    def __init__(self, model: Model, max_batch_size: int) -> None:
        self._model, self._max_batch_size = model, max_batch_size
        self._inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._by_id: dict[int, Request] = {}
        self._read_prompts: dict[tuple[str | None, int], list[list[int]]] = {}
        self.broken = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        self._by_id[request.output.request_id] = request
        self._inbox.put(request)

    def cancel(self, request_id: int) -> None:
        self._by_id[request_id].cancelled = True

    def stop(self) -> None:
        self._stopping = True
        self._inbox.put(None)
        self._thread.join(10)

    def _run(self) -> None:
        waiting: list[Request] = []
        running: list[Request] = []
        while True:
            waiting += self._arrivals(wait=not running and not waiting)
            if self._stopping:
                return
            responses: list[tuple[Request, Response]] = []
            while waiting and len(running) < self._max_batch_size:
                request = waiting.pop(0)
                try:
                    self._queue_up(request)
                except RequestError as error:
                    responses.append((request, Response(None, error=error)))
                except Exception as error:  # rule "lora_broken": not a RequestError, and the engine goes down with it
                    self._break_down([request, *running, *waiting], error)
                    return
                else:
                    running.append(request)
            time.sleep(SCRIPT.get("step_s", 0.0))
            responses += [(request, self._step(request)) for request in running]
            ended = {request for request, response in responses if response.finish or response.error}
            running = [request for request in running if request not in ended]
            self._send(responses)

    def _arrivals(self, wait: bool) -> list[Request]:
        arrived = [self._inbox.get()] if wait else []
        with contextlib.suppress(queue.Empty):
            while True:
                arrived.append(self._inbox.get_nowait())
        return [request for request in arrived if request is not None]

    def _queue_up(self, request: Request) -> None:
        prompt = request.prompt
        if SCRIPT.get("fail_on") in prompt:
            raise RequestError("the request cannot be made")
        if SCRIPT.get("crash_on") in prompt:
            raise MemoryError("CUDA error: an illegal memory access was encountered")
        number = -1
        if request.lora is not None:
            number = request.lora.lora_int_id
            assert number >= 0, "negative ids are taken"  # rule "lora_ids"
            if not self._model.knows(number):  # rules "lora_first_use" and "lora_ids"
                note("adapter_read", number=number, path=request.lora.lora_path)
                self._model.read_adapter(number, request.lora.lora_path)
        known = self._read_prompts.setdefault((request.salt, number), [])  # rule "cache_salt"
        blocks = max((_common(prompt, other) // TOKENS_PER_BLOCK for other in known), default=0)
        request.output.cached_tokens = min(blocks * TOKENS_PER_BLOCK, (len(prompt) - 1))
        known.append(prompt)

    def _step(self, request: Request) -> Response:
        if request.cancelled:
            return Response(None, "cancelled")
        sampling = request.sampling
        adapter = request.lora.lora_int_id if request.lora else None
        logits = self._model.logits(request.prompt + request.tokens, adapter)
        if request.matcher is not None:
            logits = request.matcher.mask(logits)
        token = _sample(logits, request)
        request.tokens.append(token)
        if request.matcher is not None:
            request.matcher.take(token)
        end_id = -1 if sampling.ignore_eos else sampling.end_id  # rule "end_id"
        if token == end_id:
            return Response(token, "stop")
        if token in (sampling.stop_token_ids or []):
            return Response(token, "stop", cut=0 if sampling.include_stop_str_in_output else 1, stop_reason=token)
        return Response(token, "length" if len(request.tokens) >= request.max_tokens else None)

    def _break_down(self, requests: list[Request], error: BaseException) -> None:
        self.broken = True
        self._send([(request, Response(None, error=error)) for request in requests])

    @staticmethod
    def _send(responses: list[tuple[Request, Response]]) -> None:
        """All of a step at once, as the real one notifies its queues."""
        by_loop: dict[Any, list[tuple[Request, Response]]] = {}
        for request, response in responses:
            if request.output._loop is not None:
                by_loop.setdefault(request.output._loop, []).append((request, response))
        for loop, batch in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop has ended

                def put(batch: list[tuple[Request, Response]] = batch) -> None:
                    for request, response in batch:
                        assert request.output._queue is not None
                        request.output._queue.put_nowait(response)

                loop.call_soon_threadsafe(put)


def _sample(logits: torch.Tensor, request: Request) -> int:
    sampling = request.sampling
    if sampling.repetition_penalty is not None:
        seen = torch.tensor(sorted({*request.prompt, *request.tokens}))
        found = logits[seen]
        penalised = torch.where(found > 0, found / sampling.repetition_penalty, found * sampling.repetition_penalty)
        logits = logits.index_copy(0, seen, penalised)
    if sampling.greedy:
        return int(logits.argmax())
    logits = logits / (sampling.temperature or 1.0)
    if sampling.top_k:
        smallest = logits.topk(min(sampling.top_k, len(logits))).values[-1]
        logits = logits.masked_fill(logits < smallest, -torch.inf)
    return int(torch.multinomial(logits.softmax(-1), 1, generator=request.random))


def _common(one: list[int], other: list[int]) -> int:
    length = 0
    for ours, theirs in zip(one, other, strict=False):
        if ours != theirs:
            break
        length += 1
    return length
