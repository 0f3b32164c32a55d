"""The engine process as its daemon sees it: started, asked, killed, restarted, and never orphaned."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.embedded.tiny_models import write_model
from townsfolk.config import EngineSettings
from townsfolk.engine.messages import AdapterRef, Finished, SamplingParams, Token
from townsfolk.engine.process import EngineProcess
from townsfolk.errors import InvalidArgument, NotFound, TownsfolkError, Unavailable

LONG = SamplingParams(temperature=0.0, max_tokens=400)
SHORT = SamplingParams(temperature=0.0, max_tokens=5)
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model("llama2", tmp_path_factory.mktemp("model"))


@pytest.fixture
async def engine(model: Path) -> AsyncIterator[EngineProcess]:
    engine = EngineProcess(EngineSettings(model=model, dtype="fp32", restart_backoff_s=0.05))
    await engine.start()
    yield engine
    await engine.stop()


async def tokens_of(engine: EngineProcess, prompt: list[int], sampling: SamplingParams = SHORT) -> list[int]:
    return [e.token_id async for e in engine.generate(prompt, sampling, []) if isinstance(e, Token)]


async def until_ready(engine: EngineProcess) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not engine.ready:
            await asyncio.sleep(0.02)


async def test_lines_stream_tokens_and_finish_once(engine: EngineProcess) -> None:
    events = [event async for event in engine.generate([5, 6, 7], SHORT, [])]
    assert sum(isinstance(e, Token) for e in events) == 5
    assert sum(isinstance(e, Finished) for e in events) == 1
    assert isinstance(events[-1], Finished)


async def test_closing_a_line_cancels_it_in_the_engine(engine: EngineProcess) -> None:
    line = engine.generate([5, 6, 7], LONG, [])
    async for event in line:
        if isinstance(event, Token):
            break
    await line.aclose()
    assert (await engine.stats()).running == 0


async def test_a_killed_engine_ends_its_lines_unavailable_and_comes_back(engine: EngineProcess) -> None:
    before = await tokens_of(engine, [9, 8, 7])
    line = engine.generate([5, 6, 7], LONG, [])
    assert await anext(line)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    with pytest.raises(Unavailable, match="say it again"):
        async with asyncio.timeout(PATIENCE_S):
            async for _ in line:
                pass
    await until_ready(engine)
    assert engine.restarts == 1
    assert await tokens_of(engine, [9, 8, 7]) == before


async def test_a_call_to_a_dead_engine_is_unavailable_at_once(engine: EngineProcess) -> None:
    await engine.stop()
    with pytest.raises(Unavailable):
        await tokens_of(engine, [5])
    with pytest.raises(Unavailable):
        await engine.stats()


async def test_a_bad_adapter_fails_its_call_and_its_line_with_the_engines_words(
    engine: EngineProcess, tmp_path: Path
) -> None:
    missing = AdapterRef("0" * 64, str(tmp_path))
    with pytest.raises(NotFound, match=r"adapter_config\.json"):
        await engine.load_adapter(missing)
    with pytest.raises(NotFound, match=r"adapter_config\.json"):
        async for _ in engine.generate([5], SHORT, [], missing):
            pass
    assert len(await tokens_of(engine, [5])) == 5


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"model": "no/such/model.gguf"}, NotFound, "no model at"),
        ({"model": __file__}, InvalidArgument, "neither a .gguf file"),
        ({"model": None}, InvalidArgument, "no model is set"),
    ],
)
async def test_an_engine_that_cannot_start_says_why(
    settings: dict[str, str], error: type[TownsfolkError], words: str
) -> None:
    engine = EngineProcess(EngineSettings.model_validate(settings))
    with pytest.raises(error, match=words):
        await engine.start()
    assert not engine.ready
    await engine.stop()


async def test_a_child_that_speaks_no_messages_is_given_up(model: Path) -> None:
    engine = EngineProcess(EngineSettings(model=model), command=[sys.executable, "-c", "print('hello there')"])
    with pytest.raises(Unavailable, match="does not speak our messages"):
        await engine.start()
    await engine.stop()


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the process in /proc")
async def test_no_engine_is_orphaned_when_its_daemon_is_killed(model: Path) -> None:
    daemon = textwrap.dedent(
        f"""
        import asyncio
        from townsfolk.config import EngineSettings
        from townsfolk.engine.messages import SamplingParams
        from townsfolk.engine.process import EngineProcess

        async def main():
            engine = EngineProcess(EngineSettings(model={str(model)!r}))
            await engine.start()
            line = engine.generate([5, 6], SamplingParams(temperature=0, max_tokens=400), [])
            await anext(line)
            print(engine.pid, flush=True)
            async for _ in line:
                pass
            await asyncio.sleep(600)

        asyncio.run(main())
        """
    )
    process = subprocess.Popen([sys.executable, "-c", daemon], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    async with asyncio.timeout(PATIENCE_S):
        while _alive(child):
            await asyncio.sleep(0.02)


def _alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
