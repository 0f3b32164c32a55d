"""npc.replay with the real model: the same words, whoever else is speaking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from tests.daemon.conftest import Town
from tests.daemon.console import typed
from tests.daemon.console.typed import Printed, run
from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon
from townsfolk.engine.process import EngineProcess

pytestmark = pytest.mark.real_model

PERSONAS = Path(__file__).resolve().parents[3] / "personas"
OTHERS = ("forest_elf", "old_knight", "court_herald")


@pytest_asyncio.fixture
async def real_town(real_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Town, None]:
    """A daemon with the shipped personas on the real model."""
    monkeypatch.setattr(typed, "PATIENCE_S", 60.0)
    settings = Settings.model_validate(
        {
            "daemon": {"address": "127.0.0.1:0", "drain_grace_s": 0},
            "personas": {"folders": [PERSONAS]},
            "engine": {"model": real_model_path},
        }
    )
    daemon = Daemon(settings, EngineProcess(settings.engine))
    await daemon.start()
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        yield Town(daemon, None, channel)  # type: ignore[arg-type]
    await daemon.stop()


@pytest.mark.parametrize("options", ["--seed 7", "--temperature 0"])
async def test_a_replay_has_the_same_words_alone_and_among_others(real_town: Town, options: str) -> None:
    then = await run(real_town, f'npc.say dwarf_smith "What is the blade over the forge?" {options}')
    turn = then.of("detail").split()[1]
    alone = await run(real_town, f"npc.replay {turn}")
    for other in OTHERS:
        await run(real_town, f"npc.load {other}")
    among = await asyncio.gather(
        *(run(real_town, f"npc.say {other} 'Tell me of the sea.' --max-tokens 40") for other in OTHERS),
        run(real_town, f"npc.replay {turn}"),
    )
    for again in (alone, among[-1]):
        assert again.of("speech") == then.of("speech") != "\n"
        assert again.of("detail").endswith("the same words as then\n")
    assert "batch of 1 line\n" in alone.of("detail")
    assert "batch of 1 line\n" not in among[-1].of("detail")


async def test_another_seed_or_scale_has_other_words(real_town: Town) -> None:
    async def replayed(options: str) -> Printed:
        return await run(real_town, f"npc.replay {turn} {options}")

    then = await run(real_town, "npc.say dwarf_smith 'Do you sell rope?' --seed 7 --temperature 1")
    turn = then.of("detail").split()[1]
    spoken = {(await replayed(f"--seed {seed}")).of("speech") for seed in range(3)}
    assert len(spoken) > 1
    assert (await replayed("--scale 0")).of("speech") != then.of("speech")
