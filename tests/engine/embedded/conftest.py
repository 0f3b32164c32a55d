"""Settings for the tests of the embedded engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def one_thread_for_tiny_models(request: pytest.FixtureRequest) -> Iterator[None]:
    """On a busy machine two threads wait for each other a thousand times longer than a tiny model computes."""
    if request.node.get_closest_marker("real_model"):
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
