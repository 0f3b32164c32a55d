"""The settings of a benchmark's own daemon are those of the engine that it is compared with."""

from __future__ import annotations

import tomllib
from pathlib import Path

from townsfolk.bench.own_daemon import engine_table
from townsfolk.config import EngineSettings, Settings


def test_engine_settings_come_back_from_their_table() -> None:
    settings = EngineSettings.model_validate(
        {
            "kind": "embedded",
            "model": Path("models/a “model”.gguf"),
            "max_running": 7,
            "share_cores": True,
            "tensorrt_llm": {"max_gpu_adapters": 3, "sampler": "TorchSampler"},
        }
    )
    assert Settings.model_validate(tomllib.loads(engine_table(settings))).engine == settings
    assert Settings.model_validate(tomllib.loads(engine_table(EngineSettings()))).engine == EngineSettings()
