"""`townsfolk` with an engine that speaks by script: what the games of these tests launch.

Notes each start in the file TOWNSFOLK_TEST_STARTS; loads its model for TOWNSFOLK_TEST_LOAD_S seconds, and fails then
with TOWNSFOLK_TEST_LOAD_ERROR; leaves after TOWNSFOLK_TEST_IDLE_S instead of what it is asked for.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

with open(os.environ["TOWNSFOLK_TEST_STARTS"], "a", encoding="utf-8") as starts:  # before the slow imports
    starts.write(f"{os.getpid()}\n")

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.fakes import Reply, ScriptedEngine

import townsfolk.engine.process
from townsfolk.cli import main
from townsfolk.errors import FailedPrecondition


class SlowEngine(ScriptedEngine):
    async def start(self) -> None:
        await asyncio.sleep(float(os.environ.get("TOWNSFOLK_TEST_LOAD_S", "0")))
        if error := os.environ.get("TOWNSFOLK_TEST_LOAD_ERROR"):
            raise FailedPrecondition(error)
        await super().start()


if __name__ == "__main__":
    townsfolk.engine.process.EngineProcess = lambda settings: SlowEngine([Reply("Well met.") for _ in range(100)])
    if "--exit-when-idle" in sys.argv:
        sys.argv[sys.argv.index("--exit-when-idle") + 1] = os.environ.get("TOWNSFOLK_TEST_IDLE_S", "60")
    main()
