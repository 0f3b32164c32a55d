"""What every engine promises, whatever computes: one suite, run over each kind of ``kinds.py``.

Texts are compared with transformers and PEFT. What an engine declares that it cannot do, it has to refuse.
"""

from __future__ import annotations

import asyncio
import json
import math
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.engine.embedded.driver import adapter_ref
from tests.engine.embedded.tiny_models import VOCABULARY, AdapterRecipe, rewrite_config, write_adapter, write_model
from tests.engine.heard import Heard
from tests.engine.kinds import ALL_KINDS, KINDS, OVER_HTTP
from townsfolk.engine.interface import Engine
from townsfolk.engine.messages import AdapterRef, SamplingParams
from townsfolk.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, TownsfolkError

pytestmark = pytest.mark.asyncio(loop_scope="module")

GREEDY = SamplingParams(temperature=0.0, max_tokens=10)
LONG = SamplingParams(temperature=0.0, max_tokens=300)
MAX_RANK = 16
PATIENCE_S = 60.0
WIDTH = {"hidden_size": 128, "intermediate_size": 192, "head_dim": 32}  # no head of vLLM's on a CPU is narrower


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class World:
    """A tiny model, adapters for it, and what transformers and PEFT say with them."""

    model: Path
    adapters: list[AdapterRef]
    lines: dict[tuple[str, tuple[int, ...]], list[int]]

    def line(self, prompt: list[int], adapter: AdapterRef | None = None, tokens: int = 10) -> list[int]:
        """The greedy line that is right."""
        key = (adapter.path if adapter else "", tuple(prompt))
        if key not in self.lines:
            base = AutoModelForCausalLM.from_pretrained(self.model, dtype=torch.float32)
            model = PeftModel.from_pretrained(base, adapter.path) if adapter else base
            spoken = list(prompt)
            with torch.inference_mode():
                for _ in range(20):
                    spoken.append(int(model(torch.tensor([spoken])).logits[0, -1].argmax()))
            self.lines[key] = spoken[len(prompt) :]
        return self.lines[key][:tokens]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    model = write_model("llama2", tmp_path_factory.mktemp("model"), **WIDTH)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    recipes = [AdapterRecipe("eight"), AdapterRecipe("attention", rank=4, targets=("q_proj", "v_proj"))]
    recipes += [AdapterRecipe("rs", rank=16, alpha=8, rslora=True), AdapterRecipe("mixed", rank_pattern={"q_proj": 16})]
    folders = [
        write_adapter(base, recipe, tmp_path_factory.mktemp(recipe.name), seed, strength=0.15)
        for seed, recipe in enumerate(recipes)
    ]
    return World(model, [adapter_ref(folder) for folder in folders], {})


@pytest.fixture(scope="module", params=ALL_KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(kind: str, world: World) -> AsyncIterator[Engine]:
    """One engine for many tests: each leaves it idle."""
    async with KINDS[kind](world.model, max_rank=MAX_RANK, max_context=256) as engine:
        yield engine


def prompt_of(length: int, seed: int = 0) -> list[int]:
    return torch.randint(3, VOCABULARY, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


async def say(
    engine: Engine, prompt: list[int], adapter: AdapterRef | None = None, sampling: SamplingParams = GREEDY
) -> list[int]:
    heard = Heard()
    await engine.generate(prompt, sampling, [], heard, adapter)
    return heard.tokens


# ── what a line is ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_line_starts_once_streams_its_tokens_and_ends_once(engine: Engine) -> None:
    heard = Heard()
    finished = await engine.generate(prompt_of(7), GREEDY, [], heard)
    assert [started.prompt_tokens for started in heard.starts] == [7]
    assert len(heard.tokens) == 10
    assert (finished.reason, finished.completion_tokens) == ("length", 10)


async def test_steps_of_a_line_count_upwards(engine: Engine) -> None:
    heard = Heard()
    await engine.generate(prompt_of(7), GREEDY, [], heard)
    numbers = [step.number for step in heard.steps]
    assert numbers == sorted(set(numbers))
    assert all(step.rows >= 1 and step.adapters == 0 for step in heard.steps[1:])
    assert heard.steps[0].sampled_unix_ns > 0


async def test_greedy_lines_are_those_of_transformers_and_peft(engine: Engine, world: World) -> None:
    for seed, adapter in enumerate([None, *world.adapters]):
        assert await say(engine, prompt_of(9, seed), adapter) == world.line(prompt_of(9, seed), adapter)
    assert world.line(prompt_of(9), world.adapters[0]) != world.line(prompt_of(9))  # else the adapters prove nothing


async def test_lines_of_different_adapters_at_once_speak_as_they_do_alone(engine: Engine, world: World) -> None:
    cast = [*world.adapters, *reversed(world.adapters)]
    prompts = [prompt_of(5 + i, i) for i in range(len(cast))]
    lines = await asyncio.gather(*(say(engine, p, a) for p, a in zip(prompts, cast, strict=True)))
    assert list(lines) == [world.line(p, a) for p, a in zip(prompts, cast, strict=True)]


async def test_lines_without_an_adapter_speak_among_others_as_they_do_alone(
    kind: str, engine: Engine, world: World
) -> None:
    if kind == "vllm":
        pytest.skip("on a CPU, vLLM 0.32 applies its last adapter to them (its pull request 48421)")
    cast = [None, *world.adapters, None, *world.adapters]
    prompts = [prompt_of(5 + i, i) for i in range(len(cast))]
    lines = await asyncio.gather(*(say(engine, p, a) for p, a in zip(prompts, cast, strict=True)))
    assert list(lines) == [world.line(p, a) for p, a in zip(prompts, cast, strict=True)]


async def test_different_adapters_share_steps(engine: Engine, world: World) -> None:
    for adapter in world.adapters:
        await engine.load_adapter(adapter)
    heard = [Heard() for _ in world.adapters]
    sampling = SamplingParams(temperature=0.0, max_tokens=25)
    lines = zip(world.adapters, heard, strict=True)
    await asyncio.gather(*(engine.generate(prompt_of(6, 1), sampling, [], h, a) for a, h in lines))
    assert max(step.adapters for h in heard for step in h.steps) > 1
    assert max(step.rows for h in heard for step in h.steps) > 1
    assert (await engine.stats()).max_adapters > 1


@pytest.mark.parametrize("place", [0, 1])
async def test_a_stop_token_ends_its_line_and_is_none_of_its_tokens(engine: Engine, world: World, place: int) -> None:
    line = world.line(prompt_of(9), tokens=10)
    stop_ids = [383, 382]
    stop_ids[place] = line[4]
    heard = Heard()
    finished = await engine.generate(prompt_of(9), GREEDY, stop_ids, heard)
    expected = line[: line.index(line[4])]
    assert heard.tokens == expected
    assert (finished.reason, finished.completion_tokens) == ("stop", len(expected))


async def test_a_line_ends_where_the_context_does(engine: Engine) -> None:
    heard = Heard()
    finished = await engine.generate(prompt_of(250), LONG, [], heard)
    assert finished.reason == "length"
    assert 6 <= len(heard.tokens) <= 7  # whether the last token has to be read, too, is the engine's own affair


async def test_a_long_prompt_is_read_whole(engine: Engine, world: World) -> None:
    assert await say(engine, prompt_of(200, 3)) == world.line(prompt_of(200, 3))


async def test_sampled_lines_differ_and_keep_their_length(engine: Engine) -> None:
    lines = [
        await say(engine, prompt_of(6), None, SamplingParams(temperature=1.5, seed=seed, max_tokens=12))
        for seed in range(3)
    ]
    assert {len(line) for line in lines} == {12}
    assert len({tuple(line) for line in lines}) == 3


async def test_a_repetition_penalty_keeps_a_line_from_repeating_itself(engine: Engine) -> None:
    strong = SamplingParams(temperature=0.0, repetition_penalty=50.0, max_tokens=30)
    line = await say(engine, prompt_of(6), None, strong)
    assert len(set(line)) == len(line)


# ── ending lines ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_cancelling_a_line_frees_it_and_leaves_its_neighbour_alone(engine: Engine, world: World) -> None:
    heard = Heard()
    line = asyncio.create_task(
        engine.generate(prompt_of(6), SamplingParams(temperature=0.0, max_tokens=100), [], heard)
    )
    await heard.first.wait()
    neighbour = asyncio.create_task(say(engine, prompt_of(9, 2), world.adapters[0]))
    line.cancel()
    with pytest.raises(asyncio.CancelledError):
        await line
    spoken = len(heard.tokens)
    assert await neighbour == world.line(prompt_of(9, 2), world.adapters[0])
    assert (await engine.stats()).running == 0
    assert len(heard.tokens) == spoken  # nothing is heard after the end


async def test_a_line_cancelled_before_its_first_token_is_gone(engine: Engine) -> None:
    line = asyncio.create_task(engine.generate(prompt_of(100), LONG, [], Heard()))
    await asyncio.sleep(0)
    line.cancel()
    with pytest.raises(asyncio.CancelledError):
        await line
    stats = await engine.stats()
    assert (stats.running, stats.waiting) == (0, 0)


async def test_a_listener_that_raises_ends_its_own_line_and_no_other(engine: Engine) -> None:
    broken, whole = Heard(ZeroDivisionError("enough"), fail_at=3), Heard()
    ended = await asyncio.gather(
        engine.generate(prompt_of(5), SamplingParams(temperature=0.0, max_tokens=80), [], broken),
        engine.generate(prompt_of(6), SamplingParams(temperature=0.0, max_tokens=20), [], whole),
        return_exceptions=True,
    )
    assert isinstance(ended[0], ZeroDivisionError)
    assert len(whole.tokens) == 20
    assert (await engine.stats()).running == 0


# ── adapters ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_loaded_adapter_is_resident_until_it_is_unloaded(engine: Engine, world: World) -> None:
    adapter = world.adapters[0]
    loaded = await engine.load_adapter(adapter)
    assert (loaded.digest, loaded.rank, loaded.resident) == (adapter.digest, 8, True)
    assert loaded.bytes > 0
    assert adapter.digest in (await engine.stats()).resident_adapters
    await engine.unload_adapter(adapter.digest)
    assert adapter.digest not in (await engine.stats()).resident_adapters
    assert await say(engine, prompt_of(9), adapter) == world.line(prompt_of(9), adapter)


async def test_an_adapter_in_use_is_not_unloaded(engine: Engine, world: World) -> None:
    heard = Heard()
    sampling = SamplingParams(temperature=0.0, max_tokens=80)
    line = asyncio.create_task(engine.generate(prompt_of(6), sampling, [], heard, world.adapters[1]))
    await heard.first.wait()
    with pytest.raises(FailedPrecondition, match="in use"):
        await engine.unload_adapter(world.adapters[1].digest)
    line.cancel()
    await asyncio.gather(line, return_exceptions=True)
    await engine.unload_adapter(world.adapters[1].digest)


async def test_a_retrained_adapter_in_the_same_folder_speaks_with_its_new_weights(
    engine: Engine, world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "persona"
    shutil.copytree(world.adapters[0].path, folder)
    old = adapter_ref(folder)
    assert await say(engine, prompt_of(9), old) == world.line(prompt_of(9), world.adapters[0])
    shutil.copyfile(Path(world.adapters[2].path) / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    shutil.copyfile(Path(world.adapters[2].path) / "adapter_config.json", folder / "adapter_config.json")
    new = adapter_ref(folder)
    assert new.digest != old.digest
    assert await say(engine, prompt_of(9), new) == world.line(prompt_of(9), world.adapters[2])
    assert await say(engine, prompt_of(9), old) == world.line(prompt_of(9), world.adapters[0])


async def test_a_broken_adapter_fails_its_own_line_only(engine: Engine, world: World, tmp_path: Path) -> None:
    missing = AdapterRef("0" * 64, str(tmp_path / "nowhere"))
    bad, good = await asyncio.gather(
        say(engine, prompt_of(5), missing), say(engine, prompt_of(9), world.adapters[0]), return_exceptions=True
    )
    assert isinstance(bad, NotFound)
    assert good == world.line(prompt_of(9), world.adapters[0])
    with pytest.raises(NotFound, match=r"adapter_config\.json"):
        await engine.load_adapter(missing)


async def test_an_adapter_of_too_high_a_rank_is_refused(engine: Engine, world: World, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(world.model, dtype=torch.float32)
    big = adapter_ref(write_adapter(base, AdapterRecipe("big", rank=2 * MAX_RANK), tmp_path, 0, strength=0.1))
    with pytest.raises(InvalidArgument, match="over the limit of 16"):
        await engine.load_adapter(big)
    with pytest.raises(InvalidArgument, match="over the limit of 16"):
        await say(engine, prompt_of(5), big)


async def test_a_damaged_adapter_is_refused(engine: Engine, world: World, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(world.adapters[0].path, folder)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InvalidArgument, match="damaged"):
        await engine.load_adapter(adapter_ref(folder))


async def test_prompts_read_with_one_adapter_are_reused_with_that_one_only(engine: Engine, world: World) -> None:
    async def cached(adapter: AdapterRef | None, seed: int) -> int:
        before = (await engine.stats()).cached_prompt_tokens
        prompt = prompt_of(96, 77) + prompt_of(5, seed)
        assert await say(engine, prompt, adapter) == world.line(prompt, adapter)
        return (await engine.stats()).cached_prompt_tokens - before

    assert await cached(world.adapters[2], 1) == 0
    assert await cached(world.adapters[2], 2) >= 64
    assert await cached(world.adapters[3], 3) == 0
    assert await cached(None, 4) == 0


# ── refusing ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("prompt", "sampling", "adapter"),
    [
        ([], GREEDY, None),
        ([5] * 300, GREEDY, None),
        ([VOCABULARY], GREEDY, None),
        ([-1], GREEDY, None),
        ([5], SamplingParams(max_tokens=0), None),
        ([5], GREEDY, AdapterRef("0" * 64, "/nowhere", math.nan)),
    ],
    ids=["empty", "long", "above", "below", "nothing", "scale"],
)
async def test_a_bad_request_is_refused_as_invalid(
    engine: Engine, prompt: list[int], sampling: SamplingParams, adapter: AdapterRef | None
) -> None:
    with pytest.raises(InvalidArgument):
        await engine.generate(prompt, sampling, [], Heard(), adapter)
    assert (await engine.stats()).waiting == 0


async def test_engines_declare_what_they_can_do(engine: Engine) -> None:
    assert engine.info.capabilities is not None


async def test_an_adapter_is_scaled_or_refused(engine: Engine, world: World) -> None:
    half = AdapterRef(world.adapters[0].digest, world.adapters[0].path, 0.25)
    assert engine.info.capabilities is not None
    if engine.info.capabilities.adapter_scale:
        assert await say(engine, prompt_of(9), half) != world.line(prompt_of(9), world.adapters[0])
        return
    with pytest.raises(FailedPrecondition, match=r"scale( than)? 1"):
        await say(engine, prompt_of(9), half)
    with pytest.raises(FailedPrecondition, match=r"scale( than)? 1"):
        await engine.load_adapter(half)


async def test_likelihoods_are_told_or_refused(engine: Engine) -> None:
    heard = Heard()
    assert engine.info.capabilities is not None
    if engine.info.capabilities.token_likelihoods:
        await engine.generate(prompt_of(9), GREEDY, [], heard, top_tokens=3)
        assert [likelihood.token_id for likelihood in heard.likelihoods] == heard.tokens
        return
    with pytest.raises(FailedPrecondition, match="how likely"):
        await engine.generate(prompt_of(9), GREEDY, [], heard, top_tokens=3)


async def test_a_line_is_held_to_its_schema_or_refused(engine: Engine) -> None:
    schema = json.dumps({"enum": ["the old gate", "the quick fox"]})
    heard = Heard()
    assert engine.info.capabilities is not None
    if not engine.info.capabilities.guided_decoding:
        with pytest.raises(FailedPrecondition, match="JSON schema"):
            await engine.generate(prompt_of(9), GREEDY, [], heard, json_schema=schema)
        return
    sampling = SamplingParams(temperature=0.0, max_tokens=40)
    finished = await engine.generate(prompt_of(9), sampling, engine.info.eos_ids, heard, json_schema=schema)
    from tokenizers import Tokenizer

    assert json.loads(Tokenizer.from_str(engine.info.tokenizer_json).decode(heard.tokens)) in json.loads(schema)["enum"]
    assert finished.reason == "stop"


@pytest.mark.parametrize("schema", ["{", "[]", '"text"', "[" * 100_000])
async def test_what_is_no_schema_is_refused(engine: Engine, schema: str) -> None:
    with pytest.raises(InvalidArgument, match="JSON schema"):
        await engine.generate(prompt_of(9), GREEDY, engine.info.eos_ids, Heard(), json_schema=schema)


async def test_alpha_patterns_are_honoured_or_refused(engine: Engine, world: World, tmp_path: Path) -> None:
    folder = tmp_path / "patterned"
    shutil.copytree(world.adapters[0].path, folder)
    rewrite_config(folder, alpha_pattern={"v_proj": 60})
    adapter = adapter_ref(folder)
    assert engine.info.capabilities is not None
    if engine.info.capabilities.adapter_patterns:
        assert await say(engine, prompt_of(9), adapter) == world.line(prompt_of(9), adapter)
        return
    with pytest.raises(FailedPrecondition, match="alpha_pattern"):
        await say(engine, prompt_of(9), adapter)


# ── queues, each with an engine of its own ───────────────────────────────────────────────────────────────────────


async def test_a_full_queue_refuses_and_keeps_what_it_has(kind: str, world: World) -> None:
    if kind == "vllm":
        pytest.skip("it queues without bound")
    async with KINDS[kind](world.model, max_running=1, max_waiting=2) as engine:
        first = Heard()
        long = SamplingParams(temperature=0.0, max_tokens=80)
        running = asyncio.create_task(engine.generate(prompt_of(5), long, [], first))
        await first.first.wait()
        lines = [asyncio.create_task(say(engine, prompt_of(5, i))) for i in range(5)]
        await running
        outcomes = await asyncio.gather(*lines, return_exceptions=True)
    assert [outcome for outcome in outcomes if not isinstance(outcome, TownsfolkError)] == [
        world.line(prompt_of(5, 0)),
        world.line(prompt_of(5, 1)),
    ]
    refused = [outcome for outcome in outcomes if isinstance(outcome, TownsfolkError)]
    assert all(isinstance(outcome, ResourceExhausted) and outcome.retry_after_s for outcome in refused)


async def test_urgent_lines_go_before_others_that_wait(kind: str, world: World) -> None:
    order: list[int] = []

    class Noting(Heard):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def started(self, started: object) -> None:
            order.append(self.number)

    async with KINDS[kind](world.model, max_running=1) as engine:
        first = Noting(0)
        sampling = SamplingParams(temperature=0.0, max_tokens=100)
        lines = [asyncio.create_task(engine.generate(prompt_of(5), sampling, [], first))]
        await first.first.wait()
        for number, priority in [(1, 0), (2, -1), (3, 5), (4, 0)]:
            line = engine.generate(prompt_of(5, number), GREEDY, [], Noting(number), priority=priority)
            lines.append(asyncio.create_task(line))
        await asyncio.gather(*lines)
    assert (order[:2], order[-1]) == ([0, 3], 2)
    assert kind in OVER_HTTP or order[2:4] == [1, 4]  # equals in the order in which they come


async def test_the_models_own_end_token_does_not_end_a_line_that_does_not_name_it(
    kind: str, world: World, tmp_path: Path
) -> None:
    line = world.line(prompt_of(9))
    model = write_model("llama2", tmp_path, eos_token_id=line[4], **WIDTH)
    async with KINDS[kind](model) as engine:
        assert engine.info.eos_ids == [line[4]]
        assert await say(engine, prompt_of(9)) == line
