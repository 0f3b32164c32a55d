"""What the daemon asks of an engine: token ids in, token ids out, whatever computes them."""

from __future__ import annotations

from typing import Protocol

from townsfolk.engine.messages import (
    AdapterLoaded,
    AdapterRef,
    Finished,
    Ready,
    SamplingParams,
    Started,
    Stats,
    Step,
    TokenLikelihood,
)


class LineListener(Protocol):
    """Hears a line while it is being made.

    Called in the event loop, where the engine's messages are read: once for every line and step, so both are plain
    functions that do not wait for anything. What they raise ends the line and comes out of ``Engine.generate``.
    """

    def started(self, started: Started) -> None:
        """The line was admitted. Called once, before the first token."""
        ...

    def sampled(self, token_id: int, step: Step, likelihood: TokenLikelihood | None = None) -> None:
        """The line's next token; ``likelihood`` is there where the line asked for it."""
        ...


class Engine(Protocol):
    """An engine as seen from the daemon's event loop. All methods raise only ``TownsfolkError``."""

    name: str

    @property
    def restarts(self) -> int:
        """How often it died and was started again."""
        ...

    @property
    def ready(self) -> bool:
        """Whether lines can be asked for now."""
        ...

    @property
    def info(self) -> Ready:
        """The loaded model; still known while the engine restarts. Raises ``Unavailable`` before the first start."""
        ...

    async def start(self) -> None:
        """Load the model. Returns when ready; raises what kept it from starting."""
        ...

    async def stop(self) -> None:
        """Stop and free everything. Lines still in flight end with ``Unavailable``."""
        ...

    async def generate(
        self,
        prompt: list[int],
        sampling: SamplingParams,
        stop_ids: list[int],
        listener: LineListener,
        adapter: AdapterRef | None = None,
        priority: int = 0,
        top_tokens: int = 0,
        json_schema: str = "",
    ) -> Finished:
        """One line, into ``listener``. Cancelling the call cancels the line; nothing is heard once it has returned.

        ``top_tokens`` and ``json_schema`` as in ``Generate``.

        Raises ``InvalidArgument`` or ``FailedPrecondition`` for what is wrong with the request or its adapter,
        ``ResourceExhausted`` when the queue is full, ``Unavailable`` when the engine is down or dies.
        """
        ...

    async def load_adapter(self, adapter: AdapterRef) -> AdapterLoaded:
        """Read and check an adapter and make it resident if there is room."""
        ...

    async def unload_adapter(self, digest: str) -> None:
        """Forget an adapter. Raises ``FailedPrecondition`` while a line uses it."""
        ...

    async def stats(self) -> Stats:
        """Counters since the engine (last) started."""
        ...
