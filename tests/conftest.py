"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_model_path() -> Path:
    """The real base model. Skips without it, fails where TOWNSFOLK_REQUIRE_MODEL=1 says that it must be there."""
    if override := os.environ.get("TOWNSFOLK_TEST_MODEL"):
        return Path(override)
    from townsfolk.errors import NotFound
    from townsfolk.models import default_model_path

    try:
        return default_model_path()
    except NotFound as error:
        if os.environ.get("TOWNSFOLK_REQUIRE_MODEL") == "1":
            raise
        pytest.skip(error.message)
