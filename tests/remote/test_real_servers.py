"""The remote engine on real servers, with shipped personas. `make test-remote` installs the servers first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from tests.remote.conftest import Speaker
from townsfolk.dialogue.prompt import PromptBuilder
from townsfolk.engine.messages import AdapterRef, SamplingParams, Started, Step, TokenLikelihood
from townsfolk.engine.process import EngineProcess
from townsfolk.engine.remote.adapter_store import digest_suffix
from townsfolk.engine.remote.engine import RemoteEngine
from townsfolk.errors import FailedPrecondition, Unavailable

pytestmark = [pytest.mark.remote, pytest.mark.real_model]

TOKENS = 24
AGREED = 20
# Two candidates nearer than this, in natural logarithms, are swapped by the rounding of bf16; where that has happened
# the two texts are different texts.
NEAR_TIE = 0.15
LONG = 700
PATIENCE_S = 300.0
QUIET_S = 5.0  # a server that makes no token for so long has stopped
GREEDY = SamplingParams(temperature=0.0, max_tokens=TOKENS)
QUESTION = "Who are you?"
LONG_QUESTION = "Tell me who you are, where you live, and what you think of this town."


class Heard:
    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.likelihoods: list[TokenLikelihood] = []
        self.first = asyncio.Event()

    def started(self, started: Started) -> None:
        pass

    def sampled(self, token_id: int, step: Step, likelihood: TokenLikelihood | None = None) -> None:
        self.tokens.append(token_id)
        if likelihood is not None:
            self.likelihoods.append(likelihood)
        self.first.set()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.1)


async def spoken(
    engine: RemoteEngine | EngineProcess,
    prompt: list[int],
    stop_ids: list[int],
    adapter: AdapterRef | None,
    top_tokens: int = 0,
) -> Heard:
    heard = Heard()
    await engine.generate(prompt, GREEDY, stop_ids, heard, adapter, 0, top_tokens)
    return heard


async def test_personas_speak_as_on_the_embedded_engine(
    engine: RemoteEngine, embedded: EngineProcess, prompts: PromptBuilder, speakers: dict[str, Speaker]
) -> None:
    agreed = []
    for name, speaker in speakers.items():
        prompt = speaker.prompt(prompts, LONG_QUESTION, TOKENS)
        here = await spoken(embedded, prompt, prompts.stop_ids, speaker.adapter, top_tokens=2)
        there = await spoken(engine, prompt, prompts.stop_ids, speaker.adapter)
        pairs = list(zip(here.tokens, there.tokens, strict=False))
        same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
        print(f"{name}: {same} of {len(here.tokens)} tokens: {prompts.tokenizer.decode(there.tokens)!r}")
        agreed.append(same >= min(len(here.tokens), AGREED))
        if not agreed[-1]:
            best, second = here.likelihoods[same].candidate_log_probabilities[:2]
            assert best - second < NEAR_TIE, f"{name} parts from the embedded engine after {same} tokens"
    assert sum(agreed) > len(agreed) / 2


async def test_a_line_is_heard_while_it_is_being_made(
    engine: RemoteEngine, prompts: PromptBuilder, speakers: dict[str, Speaker]
) -> None:
    speaker = speakers["forest_elf"]
    heard = Heard()
    prompt = speaker.prompt(prompts, QUESTION, TOKENS)
    line = asyncio.create_task(engine.generate(prompt, GREEDY, prompts.stop_ids, heard, speaker.adapter))
    await heard.first.wait()
    assert not line.done()
    finished = await line
    assert finished.completion_tokens == len(heard.tokens) > 1


async def test_characters_speak_at_once_each_in_its_own_voice(
    engine: RemoteEngine, prompts: PromptBuilder, speakers: dict[str, Speaker]
) -> None:
    asked = [(s.prompt(prompts, QUESTION, TOKENS), s.adapter) for s in speakers.values()]
    together = await asyncio.gather(*(spoken(engine, prompt, prompts.stop_ids, ref) for prompt, ref in asked))
    assert together[0].tokens != together[1].tokens
    assert (await engine.stats()).max_adapters > 1


async def test_a_cancelled_line_is_seen_by_the_server(  # type: ignore[no-untyped-def]
    server, engine: RemoteEngine, prompts: PromptBuilder, speakers: dict[str, Speaker]
) -> None:
    speaker, heard = speakers["forest_elf"], Heard()
    sampling = SamplingParams(temperature=0.0, max_tokens=LONG)
    prompt = speaker.prompt(prompts, "Tell me a long tale.", LONG)
    before = await made(server)
    line = asyncio.create_task(engine.generate(prompt, sampling, [], heard))
    await heard.first.wait()
    line.cancel()
    with pytest.raises(asyncio.CancelledError):
        await line
    async with asyncio.timeout(PATIENCE_S):
        earlier, now = -1.0, await made(server)
        while now != earlier:  # it goes on making tokens
            await asyncio.sleep(QUIET_S)
            earlier, now = now, await made(server)
    assert now - before < LONG


async def test_adapters_come_and_go(  # type: ignore[no-untyped-def]
    server, engine: RemoteEngine, speakers: dict[str, Speaker]
) -> None:
    adapter = speakers["dwarf_smith"].adapter
    loaded = await engine.load_adapter(adapter)
    assert (loaded.rank, loaded.resident) == (8, True)
    assert await knows(server, adapter.digest)
    await engine.unload_adapter(adapter.digest)
    assert (await engine.stats()).resident_adapters == []
    if server.kind == "vllm":
        assert not await knows(server, adapter.digest)


async def test_a_server_that_cannot_load_says_so(  # type: ignore[no-untyped-def]
    server, engine: RemoteEngine, speakers: dict[str, Speaker]
) -> None:
    if server.kind == "vllm":
        pytest.skip("vLLM loads adapters while it runs")
    from pathlib import Path

    from townsfolk.engine.adapter_files import adapter_digest

    other = Path(speakers["forest_elf"].adapter.path).parents[2] / "summariser" / "adapters" / "smollm2-135m-instruct"
    with pytest.raises(FailedPrecondition, match="--lora"):
        await engine.load_adapter(AdapterRef(adapter_digest(other), str(other)))


async def test_likelihoods_and_schemas_are_understood(
    engine: RemoteEngine, prompts: PromptBuilder, speakers: dict[str, Speaker]
) -> None:
    speaker = speakers["forest_elf"]
    prompt = speaker.prompt(prompts, QUESTION, TOKENS)
    likely = await spoken(engine, prompt, prompts.stop_ids, speaker.adapter, top_tokens=3)
    assert [likelihood.token_id for likelihood in likely.likelihoods] == likely.tokens
    assert all(likelihood.candidate_ids[0] == likelihood.token_id for likelihood in likely.likelihoods)
    guided = Heard()
    schema = (
        '{"type": "object", "properties": {"a": {"enum": ["b"]}}, "required": ["a"], "additionalProperties": false}'
    )
    await engine.generate(prompt, GREEDY, prompts.stop_ids, guided, json_schema=schema)
    assert "".join(prompts.tokenizer.decode(guided.tokens).split()) == '{"a":"b"}'


async def test_a_server_killed_and_back_speaks_again(  # type: ignore[no-untyped-def]
    server, engine: RemoteEngine, prompts: PromptBuilder, speakers: dict[str, Speaker]
) -> None:
    speaker = speakers["dwarf_smith"]
    prompt = speaker.prompt(prompts, QUESTION, TOKENS)
    before = await spoken(engine, prompt, prompts.stop_ids, speaker.adapter)
    heard = Heard()
    line = asyncio.create_task(
        engine.generate(prompt, SamplingParams(temperature=0.0, max_tokens=LONG), [], heard, speaker.adapter)
    )
    await heard.first.wait()
    server.kill()
    with pytest.raises(Unavailable):
        await line
    await until(lambda: not engine.ready)
    server.start()
    await until(lambda: engine.ready)
    after = await spoken(engine, prompt, prompts.stop_ids, speaker.adapter)
    assert after.tokens == before.tokens
    assert engine.restarts == 1


# ── what the servers say of themselves ───────────────────────────────────────────────────────────────────────────


async def made(server) -> float:  # type: ignore[no-untyped-def]
    """Tokens that the server has made; of llama.cpp those of lines of ``LONG`` tokens, which no other test ends."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
        if server.kind == "vllm":
            text = (await client.get(f"{server.url}/metrics")).text
            name = "vllm:generation_tokens_total"
            return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))
        slots = (await client.get(f"{server.url}/slots")).json()
    long_ones = [slot for slot in slots if slot.get("params", {}).get("n_predict") == LONG]
    return sum(slot["next_token"][0]["n_decoded"] for slot in long_ones)


async def knows(server, digest: str) -> bool:  # type: ignore[no-untyped-def]
    """Whether the server lists an adapter."""
    path = "/v1/models" if server.kind == "vllm" else "/lora-adapters"
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as client:
        return digest_suffix(digest) in (await client.get(server.url + path)).text
