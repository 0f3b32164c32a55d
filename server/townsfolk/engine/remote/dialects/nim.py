"""NVIDIA NIM for LLMs: vLLM behind other health paths, with a folder that it watches for adapters."""

from __future__ import annotations

import asyncio
from typing import Any

from townsfolk.engine.remote.dialects.base import RemoteAdapter
from townsfolk.engine.remote.dialects.vllm import Vllm
from townsfolk.engine.remote.server import Server
from townsfolk.errors import FailedPrecondition

LOOK_AGAIN_S = 1.0


class Nim(Vllm):
    """With runtime loading enabled an adapter is loaded by call, as in vLLM.

    Without, it appears by itself once it lies in the folder of ``NIM_PEFT_SOURCE``, which is to be
    ``engine.remote.adapter_store`` then, within ``NIM_PEFT_REFRESH_INTERVAL``.
    """

    name = "nim"
    health_path = "/v1/health/ready"
    needs_store = True
    honours_patterns = False  # older ones have an older vLLM

    async def load(self, server: Server, adapter: RemoteAdapter, timeout_s: float) -> Any:
        try:
            return await super().load(server, adapter, timeout_s)
        except FailedPrecondition as refused:
            try:
                async with asyncio.timeout(timeout_s):
                    while adapter.name not in await self.adapters(server):  # noqa: ASYNC110 - it tells nobody
                        await asyncio.sleep(LOOK_AGAIN_S)
            except TimeoutError:
                raise FailedPrecondition(
                    f"{server.url} did not pick {adapter.name} up within {timeout_s:g} s; make NIM_PEFT_SOURCE the "
                    "folder of engine.remote.adapter_store and set NIM_PEFT_REFRESH_INTERVAL, or enable runtime "
                    f"loading ({refused.message})",
                    field="engine.remote",
                ) from refused
            return adapter.name
