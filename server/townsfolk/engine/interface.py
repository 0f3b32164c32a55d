"""What the daemon asks of an engine: token ids in, token ids out, whatever computes them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from townsfolk.engine.messages import (
    AdapterLoaded,
    AdapterRef,
    Finished,
    Ready,
    SamplingParams,
    Started,
    Stats,
    Token,
)

LineEvent = Started | Token | Finished


class Engine(Protocol):
    """An engine as seen from the daemon's event loop. All methods raise only ``TownsfolkError``."""

    name: str
    restarts: int

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

    def generate(
        self,
        prompt: list[int],
        sampling: SamplingParams,
        stop_ids: list[int],
        adapter: AdapterRef | None = None,
        priority: int = 0,
    ) -> AsyncGenerator[LineEvent, None]:
        """One line: ``Started`` once, ``Token`` for each token, ``Finished`` last. Closing the generator cancels it.

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
