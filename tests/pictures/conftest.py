"""A tiny SDXL model, made once for all tests of pictures."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.pictures.tiny_sdxl import write_tiny_sdxl


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("diffusers", reason="diffusers is missing: pip install 'townsfolk[pictures]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers' and transformers' own
        return write_tiny_sdxl(tmp_path_factory.mktemp("modèle") / "tiny-sdxl")
