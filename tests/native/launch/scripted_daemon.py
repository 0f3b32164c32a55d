"""`townsfolk` with an engine that speaks by script: what the games of these tests launch.

Notes each start in the file TOWNSFOLK_TEST_STARTS; loads its model for TOWNSFOLK_TEST_LOAD_S seconds, and fails then
with TOWNSFOLK_TEST_LOAD_ERROR, or crashes TOWNSFOLK_TEST_CRASH_S after that; leaves after TOWNSFOLK_TEST_IDLE_S instead
of what it is asked for. It says "Well met.", or TOWNSFOLK_TEST_REPLY, with TOWNSFOLK_TEST_TOKEN_S seconds before each
token; to "What have I told you?" it says what the player has said before.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

with open(os.environ["TOWNSFOLK_TEST_STARTS"], "a", encoding="utf-8") as starts:  # before the slow imports
    starts.write(f"{os.getpid()}\n")

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.fakes import Line, Reply, ScriptedEngine, read_prompt

import townsfolk.engine.process
from townsfolk.cli import main
from townsfolk.engine.messages import Finished
from townsfolk.errors import FailedPrecondition


class SlowEngine(ScriptedEngine):
    async def start(self) -> None:
        await asyncio.sleep(float(os.environ.get("TOWNSFOLK_TEST_LOAD_S", "0")))
        if error := os.environ.get("TOWNSFOLK_TEST_LOAD_ERROR"):
            raise FailedPrecondition(error)
        await super().start()
        if seconds := os.environ.get("TOWNSFOLK_TEST_CRASH_S"):
            asyncio.get_running_loop().call_later(float(seconds), crash)

    async def generate(self, prompt: list[int], *args: Any, **kwargs: Any) -> Finished:
        self.script.append(Reply(answer(read_prompt(prompt))))
        return await super().generate(prompt, *args, **kwargs)

    async def _pause(self, line: Line, reply: Reply, count: int) -> None:
        await asyncio.sleep(float(os.environ.get("TOWNSFOLK_TEST_TOKEN_S", "0")))
        await super()._pause(line, reply, count)


def crash() -> None:
    """End as by a fault of the machine, with something in the log."""
    print("error: the machine is on fire", file=sys.stderr, flush=True)
    os._exit(139)


def answer(prompt: str) -> str:
    """What is said to a prompt."""
    *before, now = [said.partition("<|im_end|>")[0] for said in prompt.split("<|im_start|>user\n")[1:]]
    if "What have I told you?" in now:
        return " ".join(before) or "Nothing."
    return os.environ.get("TOWNSFOLK_TEST_REPLY", "Well met.")


if __name__ == "__main__":
    townsfolk.engine.process.EngineProcess = lambda settings: SlowEngine()
    if "--exit-when-idle" in sys.argv:
        sys.argv[sys.argv.index("--exit-when-idle") + 1] = os.environ.get("TOWNSFOLK_TEST_IDLE_S", "60")
    main()
