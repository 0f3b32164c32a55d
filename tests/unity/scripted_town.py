"""A real daemon whose engine answers what it is asked to answer, for the C# tests of the Unity package.

`python -m tests.unity.scripted_town` starts one and prints its address, for running the package's tests inside Unity:
set TOWNSFOLK_TEST_ADDRESS to it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fake_painter import PickyPainter
from tests.fakes import Line, Reply, ScriptedEngine, read_prompt, write_adapter, write_persona
from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon
from townsfolk.engine.messages import Finished


class ObedientEngine(ScriptedEngine):
    """Says what follows "echo: " in the player's words; to "hold …" a few letters and then nothing; else "Aye.".

    An idea becomes a concept of that title. The story writer tells it, and the picture prompter repeats its title.
    """

    async def generate(self, prompt: list[int], *args: Any, **kwargs: Any) -> Finished:
        words = spoken_last(self, prompt)
        self.script.append(story_reply(read_prompt(prompt), words) or reply_to(words))
        return await super().generate(prompt, *args, **kwargs)


def spoken_last(engine: ScriptedEngine, prompt: list[int]) -> str:
    return read_prompt(prompt).rpartition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]


def reply_to(words: str) -> Reply:
    if "hold " in words:
        return Reply("Aye, so far and never further.", hold=asyncio.Event(), hold_after=len("Aye, s"))
    return Reply(words.partition("echo: ")[2] or "Aye.")


def story_reply(prompt: str, words: str) -> Reply | None:
    """What a part of a story is, or nothing if this is no story, or one to hold."""
    if words.startswith("Idea: "):
        concept = {"title": words.removeprefix("Idea: "), "hero": "Ines", "conflict": "sunken ships", "place": "a rock"}
        return Reply(json.dumps(concept, ensure_ascii=False))
    if not words.startswith("Title: ") or "hold " in words:
        return None
    title = words.removeprefix("Title: ").partition("\n")[0]
    return Reply(f"Ines lit the lamp of {title}. 🚢" if "You are story_writer." in prompt else title)


class RunningTown:
    """A daemon on a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.engine = ObedientEngine()
        self.painter = PickyPainter()
        personas = folder / "personas"
        for persona_id in ("smith", "elf"):
            write_adapter(write_persona(personas, persona_id), weights=persona_id.encode())
        write_persona(personas, "monk")
        for persona_id in ("story_writer", "picture_prompter"):
            write_adapter(write_persona(personas, persona_id, kind="task"), weights=persona_id.encode())
        daemon = {"address": "127.0.0.1:0", "drain_grace_s": 0}
        settings = Settings.model_validate({"daemon": daemon, "personas": {"folders": [personas]}})
        self.daemon = Daemon(settings, self.engine, self.painter)
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="scripted town")

    @property
    def address(self) -> str:
        return self.daemon.address

    def lines(self, words: str) -> list[Line]:
        """The lines whose prompt holds these words."""
        return [line for line in self.engine.lines if words in line.prompt]

    def start(self) -> None:
        self._thread.start()
        if not self._started.wait(10):
            raise RuntimeError("the daemon did not start")

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self.daemon.start()
        self._started.set()
        await self._stop.wait()
        await self.daemon.stop()


@contextmanager
def scripted_town() -> Iterator[RunningTown]:
    with tempfile.TemporaryDirectory() as folder:
        town = RunningTown(Path(folder))
        town.start()
        try:
            yield town
        finally:
            town.stop()


if __name__ == "__main__":
    with scripted_town() as town:
        print(town.address, flush=True)
        threading.Event().wait()
