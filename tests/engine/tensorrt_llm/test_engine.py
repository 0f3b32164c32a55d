"""What the engine over TensorRT-LLM does about that library's surprises; the double notes what it was asked for."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.engine.embedded.driver import adapter_ref
from tests.engine.embedded.tiny_models import AdapterRecipe, write_adapter, write_model
from tests.engine.heard import Heard
from tests.engine.tensorrt_llm.doubled import doubled, noted
from townsfolk.config import EngineSettings
from townsfolk.engine.messages import AdapterRef, SamplingParams
from townsfolk.engine.process import EngineProcess
from townsfolk.errors import FailedPrecondition, NotFound, TownsfolkError, Unavailable

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TensorRT-LLM is for Linux"),
    pytest.mark.slow,  # an engine process for each test
]

SHORT = SamplingParams(temperature=0.0, max_tokens=4)
FAILING, CRASHING = 300, 301  # tokens on which the double fails a line, or goes down
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model("llama2", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def adapters(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[AdapterRef]:
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    folders = [tmp_path_factory.mktemp(f"adapter{seed}") for seed in range(5)]
    return [
        adapter_ref(write_adapter(base, AdapterRecipe("any"), folder, seed, strength=0.15))
        for seed, folder in enumerate(folders)
    ]


@asynccontextmanager
async def started(
    model: Path, log: Path, script: dict[str, Any] | None = None, own: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[EngineProcess]:
    """An engine over the double; ``own`` are settings of ``[engine.tensorrt_llm]``."""
    values = {"kind": "tensorrt_llm", "model": model, "tensorrt_llm": own or {}, "restart_backoff_s": 0.05} | settings
    with doubled(log, **(script or {})):
        engine = EngineProcess(EngineSettings.model_validate(values))
        try:
            await engine.start()
            yield engine
        finally:
            await engine.stop()


async def say(engine: EngineProcess, prompt: list[int], adapter: AdapterRef | None = None) -> list[int]:
    heard = Heard()
    await engine.generate(prompt, SHORT, [], heard, adapter)
    return heard.tokens


async def test_the_model_is_loaded_as_the_settings_say(model: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    own = {"max_gpu_adapters": 3, "max_host_adapters": 5, "kv_cache_dtype": "fp8", "kv_cache_fraction": 0.5}
    async with started(model, log, own=own, max_rank=32, max_context=128, max_running=7) as engine:
        assert engine.name == "tensorrt_llm"
        assert (engine.info.device, engine.info.dtype, engine.info.max_context) == ("cuda", "float32", 128)
        assert (engine.info.max_batch_rows, engine.info.max_batch_adapters) == (7, 3)
    (load,) = noted(log, "load")
    assert load["lora"]["max_lora_rank"] == 32
    assert (load["lora"]["max_loras"], load["lora"]["max_cpu_loras"]) == (3, 5)
    assert len(load["lora"]["lora_target_modules"]) == 7
    assert (load["max_batch_size"], load["max_seq_len"], load["max_input_len"]) == (7, 128, 128)
    assert load["enable_chunked_prefill"] is True
    assert "dtype='fp8'" in load["kv_cache_config"]
    assert len(noted(log, "shutdown")) == 1


async def test_an_id_is_never_given_to_other_weights_and_adapters_are_read_once(
    model: Path, adapters: list[AdapterRef], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with started(model, log) as engine:
        await engine.load_adapter(adapters[0])
        for adapter in (adapters[0], adapters[1], adapters[0]):
            await say(engine, [5, 6, 7], adapter)
        await engine.unload_adapter(adapters[0].digest)
        await say(engine, [5, 6, 7], adapters[0])
        assert (await engine.stats()).adapter_loads == 3
    reads = [entry["number"] for entry in noted(log, "adapter_read")]
    assert reads == [1, 2, 3]
    asked = [(entry["lora"][0], entry["lora"][1]) for entry in noted(log, "request")]
    first, second = adapters[0].digest, adapters[1].digest
    assert asked == [(first, 1), (first, 1), (second, 2), (first, 1), (first, 3)]
    assert {entry["salt"] for entry in noted(log, "request")} == {first, second}


async def test_the_engine_is_built_anew_before_more_adapters_are_read_than_the_bound(
    model: Path, adapters: list[AdapterRef], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with started(model, log, own={"max_distinct_adapters": 2}) as engine:
        alone = [await say(engine, [5, 6, 7], adapter) for adapter in adapters]
        together = await asyncio.gather(*(say(engine, [5, 6, 7], adapter) for adapter in adapters))
        assert list(together) == alone
        assert len({tuple(line) for line in alone}) > 1
        assert engine.restarts == 0
    events = [entry for name in ("load", "adapter_read") for entry in noted(log, name)]
    numbers = [entry["number"] for entry in events if entry["event"] == "adapter_read"]
    assert numbers == sorted(set(numbers))  # none twice, over all rebuilds
    assert len(noted(log, "load")) >= 3
    lives = log.read_text("utf-8").split('"event": "load"')[1:]
    assert all(life.count('"adapter_read"') <= 2 for life in lives)
    assert len(noted(log, "shutdown")) == len(noted(log, "load"))


async def test_a_line_in_flight_is_finished_before_the_engine_is_built_anew(
    model: Path, adapters: list[AdapterRef], tmp_path: Path
) -> None:
    async with started(model, tmp_path / "log", own={"max_distinct_adapters": 1}) as engine:
        long = Heard()
        sampling = SamplingParams(temperature=0.0, max_tokens=60)
        line = asyncio.create_task(engine.generate([5, 6], sampling, [], long, adapters[0]))
        await long.first.wait()
        assert len(await say(engine, [5, 6], adapters[1])) == 4
        assert line.done()
        assert (await line).completion_tokens == 60


async def test_every_request_has_sampling_parameters_of_its_own(model: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with started(model, log) as engine:
        await engine.generate([5], SamplingParams(0.5, 40, 0.9, 0.05, 1.1, 7, 3), [9, 10, 11], Heard())
        await engine.generate([5], SamplingParams(temperature=0.0, max_tokens=3), [], Heard())
    hot, greedy = (entry["sampling"] for entry in noted(log, "request"))
    assert (hot["temperature"], hot["top_k"], hot["top_p"], hot["min_p"]) == (0.5, 40, 0.9, 0.05)
    assert (hot["repetition_penalty"], hot["seed"], hot["max_tokens"]) == (1.1, 7, 3)
    assert (hot["end_id"], hot["stop_token_ids"], hot["ignore_eos"]) == (9, [10, 11], False)
    assert (hot["detokenize"], "stop" in hot) == (False, False)
    assert not {"temperature", "top_k", "top_p"} & greedy.keys()
    assert greedy["ignore_eos"] is True


async def test_what_a_personas_lines_begin_with_is_kept_longer(
    model: Path, adapters: list[AdapterRef], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    persona = list(range(10, 60))
    async with started(model, log) as engine:
        for end in ([1, 2], [3, 4], [5, 6, 7]):
            await say(engine, persona + end, adapters[0])
        await say(engine, [9, *persona], adapters[1])
    assert [entry["kept"] for entry in noted(log, "request")] == [[], [[0, 50, 90]], [[0, 50, 90]], []]


async def test_a_line_that_fails_in_tensorrt_llm_fails_alone(model: Path, tmp_path: Path) -> None:
    async with started(model, tmp_path / "log", {"fail_on": FAILING}) as engine:
        bad, good = await asyncio.gather(say(engine, [5, FAILING]), say(engine, [5, 6]), return_exceptions=True)
        assert isinstance(bad, FailedPrecondition)
        assert "the request cannot be made" in bad.message
        assert isinstance(good, list)
        assert len(good) == 4
        assert (await engine.stats()).running == 0
        assert engine.restarts == 0


async def test_when_tensorrt_llm_goes_down_its_lines_end_and_it_is_started_again(model: Path, tmp_path: Path) -> None:
    async with started(model, tmp_path / "log", {"crash_on": CRASHING}) as engine:
        before = await say(engine, [5, 6])
        with pytest.raises(Unavailable, match="say it again"):
            await say(engine, [5, CRASHING])
        async with asyncio.timeout(PATIENCE_S):
            while not engine.ready:
                await asyncio.sleep(0.02)
        assert engine.restarts == 1
        assert await say(engine, [5, 6]) == before


async def test_tensorrt_llm_is_shut_down_when_the_daemon_dies(model: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    daemon = (
        "import asyncio, sys\n"
        "from townsfolk.config import EngineSettings\n"
        "from townsfolk.engine.process import EngineProcess\n"
        "async def main():\n"
        f"    engine = EngineProcess(EngineSettings(kind='tensorrt_llm', model={str(model)!r}))\n"
        "    await engine.start()\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with doubled(log):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", daemon, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    async with asyncio.timeout(PATIENCE_S):
        while not noted(log, "shutdown"):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("environment", "script", "settings", "error", "words"),
    [
        ({"NVIDIA_SMI_DOUBLE": "broken"}, {}, {}, FailedPrecondition, "driver does not work.*couldn't communicate"),
        ({"NVIDIA_SMI_DOUBLE": ""}, {}, {}, FailedPrecondition, "no NVIDIA GPU"),
        ({"NVIDIA_SMI_DOUBLE_CUDA": "12.4"}, {}, {}, FailedPrecondition, "CUDA up to 12.4, but .* needs CUDA 13.0"),
        ({"NVIDIA_SMI_DOUBLE": "GTX 1080, 8192, 8000, 580.1, 6.1"}, {}, {}, FailedPrecondition, "Ampere"),
        (
            {"NVIDIA_SMI_DOUBLE": "RTX 3050, 1500, 1400, 580.1, 8.6"},
            {},
            {},
            FailedPrecondition,
            "1.5 GB of memory free",
        ),
        ({}, {}, {"tensorrt_llm": {"tensor_parallel": 2}}, FailedPrecondition, "has 1 GPUs"),
        ({}, {}, {"device": "cuda:3"}, FailedPrecondition, "there is no GPU 3"),
        ({}, {}, {"device": "cpu"}, TownsfolkError, "runs on an NVIDIA GPU, not on 'cpu'"),
        ({}, {}, {"folder": "/no/such/model"}, NotFound, "no model at"),
        ({}, {}, {"folder": __file__}, FailedPrecondition, "reads Hugging Face folders"),
        ({}, {"load_error": "CUDA out of memory. Tried 2 GiB"}, {}, FailedPrecondition, "lower engine.max_context"),
        ({}, {"load_error": "got invalid argument: x"}, {}, FailedPrecondition, "townsfolk doctor"),
    ],
    ids=["driver", "gpu", "cuda", "old", "small", "few", "index", "cpu", "nothing", "file", "memory", "argument"],
)
async def test_an_engine_that_cannot_start_says_why_and_what_to_do(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    script: dict[str, str],
    settings: dict[str, Any],
    error: type[TownsfolkError],
    words: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    folder = Path(settings.get("folder", model))
    others = {key: value for key, value in settings.items() if key != "folder"}
    with pytest.raises(error, match=words):
        async with started(folder, tmp_path / "log", script, **others):
            pass
