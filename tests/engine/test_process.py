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
from tests.engine.heard import Heard
from townsfolk.config import EngineSettings
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine.messages import AdapterRef, Finished, SamplingParams, Step
from townsfolk.engine.process import EngineProcess
from townsfolk.errors import InvalidArgument, NotFound, ResourceExhausted, TownsfolkError, Unavailable

LONG = SamplingParams(temperature=0.0, max_tokens=400)
SHORT = SamplingParams(temperature=0.0, max_tokens=5)
PATIENCE_S = 60.0
SCRIPTED_CHILD = [sys.executable, str(Path(__file__).with_name("scripted_child.py"))]


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
    heard = Heard()
    await engine.generate(prompt, sampling, [], heard)
    return heard.tokens


async def until_ready(engine: EngineProcess) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not engine.ready:
            await asyncio.sleep(0.02)


@pytest.fixture
async def scripted() -> AsyncIterator[EngineProcess]:
    """An engine whose child says what a test wants; see ``scripted_child.py``."""
    engine = EngineProcess(EngineSettings(), command=SCRIPTED_CHILD)
    await engine.start()
    yield engine
    await engine.stop()


async def test_lines_stream_tokens_and_finish_once(engine: EngineProcess) -> None:
    heard = Heard()
    finished = await engine.generate([5, 6, 7], SHORT, [], heard)
    assert (finished.reason, finished.completion_tokens) == ("length", 5)
    assert len(heard.tokens) == 5
    assert [started.prompt_tokens for started in heard.starts] == [3]


async def test_every_token_tells_when_it_was_sampled(engine: EngineProcess) -> None:
    heard = Heard()
    await engine.generate([5, 6, 7], SHORT, [], heard)
    times = [step.sampled_unix_ns for step in heard.steps]
    assert times == sorted(times)
    assert times[0] > 0
    assert [step.number for step in heard.steps] == sorted({step.number for step in heard.steps})


async def test_likelihoods_reach_the_line_that_asked_for_them_and_no_other(engine: EngineProcess) -> None:
    curious, other = Heard(), Heard()
    free = await tokens_of(engine, [5, 6, 7])
    finished, _ = await asyncio.gather(
        engine.generate([5, 6, 7], SHORT, [free[3]], curious, top_tokens=2),
        engine.generate([8, 9], SHORT, [], other),
    )
    assert [likelihood.token_id for likelihood in curious.likelihoods] == curious.tokens == free[:3]
    assert all(len(likelihood.candidate_ids) == 2 for likelihood in curious.likelihoods)
    assert finished.stop_token is not None
    assert finished.stop_token.token_id == free[3]
    assert other.likelihoods == []


async def test_a_guided_line_is_json_and_a_bad_schema_fails_its_own_line_alone(engine: EngineProcess) -> None:
    said, other = Heard(), Heard()
    patient = SamplingParams(temperature=0.0, max_tokens=60)
    finished, free, refusal = await asyncio.gather(
        engine.generate([5, 6, 7], patient, [2], said, json_schema='{"enum": ["glad", "sad"]}'),
        engine.generate([5, 6, 7], SHORT, [], other),
        engine.generate([5, 6, 7], patient, [2], Heard(), json_schema='{"type": "strin"}'),
        return_exceptions=True,
    )
    assert isinstance(finished, Finished)
    assert finished.reason == "stop"
    assert TextTokenizer(engine.info.tokenizer_json).decode(said.tokens) in ('"glad"', '"sad"')
    assert isinstance(free, Finished)
    assert len(other.tokens) == 5
    assert isinstance(refusal, InvalidArgument)
    assert refusal.field == "json_schema"


async def test_cancelling_a_line_cancels_it_in_the_engine(engine: EngineProcess) -> None:
    heard = Heard()
    line = asyncio.create_task(engine.generate([5, 6, 7], LONG, [], heard))
    await heard.first.wait()
    line.cancel()
    with pytest.raises(asyncio.CancelledError):
        await line
    assert (await engine.stats()).running == 0


async def test_a_listener_that_raises_ends_its_own_line_and_no_other(engine: EngineProcess) -> None:
    broken, whole = Heard(ZeroDivisionError("enough"), fail_at=3), Heard()
    ended = await asyncio.gather(
        engine.generate([5, 6, 7], LONG, [], broken),
        engine.generate([8, 9], SamplingParams(temperature=0.0, max_tokens=20), [], whole),
        return_exceptions=True,
    )
    assert isinstance(ended[0], ZeroDivisionError)
    assert len(broken.tokens) == 3
    assert len(whole.tokens) == 20
    assert (await engine.stats()).running == 0


async def test_the_tokens_of_a_step_reach_their_lines_in_order(scripted: EngineProcess) -> None:
    one, two = Heard(), Heard()
    await asyncio.gather(scripted.generate([1], SHORT, [], one), scripted.generate([2], SHORT, [], two))
    assert one.tokens == [11, 12, 13]
    assert two.tokens == [21, 22, 23]
    assert one.steps == two.steps == [Step(n, 2, 1, 1000 + n) for n in (1, 2, 3)]


async def test_a_refused_line_keeps_the_engines_time_to_come_back(scripted: EngineProcess) -> None:
    with pytest.raises(ResourceExhausted, match="the queue is full") as raised:
        await scripted.generate([0], SHORT, [], Heard())
    assert raised.value.retry_after_s == 2.5


async def test_a_killed_engine_ends_its_lines_unavailable_and_comes_back(engine: EngineProcess) -> None:
    before = await tokens_of(engine, [9, 8, 7])
    heard = Heard()
    line = asyncio.create_task(engine.generate([5, 6, 7], LONG, [], heard))
    await heard.first.wait()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    with pytest.raises(Unavailable, match="say it again"):
        await asyncio.wait_for(line, PATIENCE_S)
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
        await engine.generate([5], SHORT, [], Heard(), missing)
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

        class Listener:
            def started(self, started):
                print(engine.pid, flush=True)

            def sampled(self, token_id, step, likelihood=None):
                pass

        async def main():
            global engine
            engine = EngineProcess(EngineSettings(model={str(model)!r}))
            await engine.start()
            await engine.generate([5, 6], SamplingParams(temperature=0, max_tokens=400), [], Listener())
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
