"""What comes back: one object that changes at every step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class RequestError(RuntimeError):
    """One request failed; the engine goes on (rule "request_error")."""


@dataclass(slots=True)
class CompletionOutput:
    index: int
    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    finish_reason: str | None = None
    stop_reason: Any = None
    _told: int = 0

    @property
    def token_ids_diff(self) -> list[int]:
        return self.token_ids[self._told :]

    @property
    def text_diff(self) -> str:
        return ""  # rule "no_text"


@dataclass(frozen=True)
class Response:
    """What one step brought to one request."""

    token: int | None
    finish: str | None = None
    cut: int = 0
    stop_reason: int | None = None
    error: BaseException | None = None


class RequestOutput:
    def __init__(self, request_id: int, cancel: Callable[[int], None], streaming: bool) -> None:
        self.request_id, self._cancel, self._streaming = request_id, cancel, streaming
        self.cached_tokens = 0
        self._output = CompletionOutput(0)
        self._done = False
        self._aborted = False
        try:  # rule "running_loop"
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
            self._queue: asyncio.Queue[Response] | None = asyncio.Queue()
        except RuntimeError:
            self._loop = self._queue = None

    @property
    def outputs(self) -> list[CompletionOutput]:
        return [self._output]  # rule "fresh_outputs"

    @property
    def finished(self) -> bool:
        return self._done

    def abort(self) -> None:
        if self._done:
            logging.getLogger(__name__).warning("request %d is finished already", self.request_id)
            return
        self._aborted = True  # rule "abort_only_asks"
        self._cancel(self.request_id)

    def aborted(self) -> bool:
        return self._aborted

    def __aiter__(self) -> RequestOutput:
        return self

    async def __anext__(self) -> RequestOutput:
        assert self._queue is not None, "the result was not made in an event loop"
        while not self._done:
            response = await self._queue.get()
            if response.error is not None:
                raise response.error  # rule "not_done_after_error"
            self._apply(response)
            if self._streaming or self._done:
                return self  # rule "same_object"
        raise StopAsyncIteration

    def _apply(self, response: Response) -> None:
        output = self._output
        output._told = len(output.token_ids)
        if response.token is not None:
            output.token_ids.append(response.token)
        if response.cut:  # rule "stop_cut_off"
            del output.token_ids[-response.cut :]
        if response.finish is not None:
            output.finish_reason, output.stop_reason = response.finish, response.stop_reason
            self._done = True
