"""Adapters on their way to servers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.engine.remote.conftest import name_of, write_adapter
from townsfolk.engine.adapter_files import adapter_digest
from townsfolk.engine.messages import AdapterRef
from townsfolk.engine.remote.adapter_store import AdapterStore
from townsfolk.errors import FailedPrecondition, InvalidArgument, NotFound


def test_an_adapter_is_copied_whole_and_under_its_name(adapter: AdapterRef, store: Path) -> None:
    placed = AdapterStore(store, "/mnt/loras/", "tiny", 64).place(adapter, needs_store=True)
    assert placed.path == f"/mnt/loras/{name_of(adapter)}"
    assert adapter_digest(store / name_of(adapter)) == adapter.digest
    assert [path.name for path in store.iterdir()] == [name_of(adapter)]


def test_without_a_store_the_persona_s_own_folder_is_named(adapter: AdapterRef) -> None:
    placed = AdapterStore(None, "", "tiny", 64).place(adapter, needs_store=False)
    assert placed.path == str(Path(adapter.path).resolve())


def test_an_adapter_that_changed_on_disk_is_refused(adapter: AdapterRef, store: Path, tmp_path: Path) -> None:
    shutil.copy(Path(write_adapter(tmp_path / "other", seed=1).path) / "adapter_model.safetensors", adapter.path)
    with pytest.raises(FailedPrecondition, match="changed on disk"):
        AdapterStore(store, "", "tiny", 64).place(adapter, needs_store=False)
    assert list(store.iterdir()) == []


def test_an_adapter_of_another_base_model_is_refused(adapter: AdapterRef) -> None:
    (Path(adapter.path) / "training.json").write_text(json.dumps({"base_model": "huge"}), "utf-8")
    with pytest.raises(FailedPrecondition, match="trained for huge, not for tiny"):
        AdapterStore(None, "", "tiny", 64).place(adapter, needs_store=False)


def test_a_rank_over_the_limit_is_refused(adapter: AdapterRef) -> None:
    with pytest.raises(InvalidArgument, match="rank 8, over the limit of 4"):
        AdapterStore(None, "", "tiny", 4).place(adapter, needs_store=False)


@pytest.mark.parametrize("pattern", [{"rank_pattern": {"q_proj": 4}}, {"alpha_pattern": {"q_proj": 4}}])
def test_patterns_that_servers_do_not_honour_are_refused(pattern: dict[str, object], tmp_path: Path) -> None:
    ref = write_adapter(tmp_path / "patterned", **pattern)
    with pytest.raises(FailedPrecondition, match="not known to honour"):
        AdapterStore(None, "", "tiny", 64).place(ref)
    assert AdapterStore(None, "", "tiny", 64).place(ref, honours_patterns=True).rank == 8


def test_an_unsupported_adapter_never_reaches_a_server(tmp_path: Path, store: Path) -> None:
    ref = write_adapter(tmp_path / "dora", use_dora=True)
    with pytest.raises(InvalidArgument, match="DoRA"):
        AdapterStore(store, "", "tiny", 64).place(ref, needs_store=False)
    with pytest.raises(NotFound):
        AdapterStore(store, "", "tiny", 64).place(AdapterRef("0" * 64, str(tmp_path / "none")), needs_store=False)
    assert list(store.iterdir()) == []


@pytest.mark.parametrize("kept_bytes", [0, 6, 100, -1])
def test_weights_that_are_cut_short_never_reach_a_server(adapter: AdapterRef, store: Path, kept_bytes: int) -> None:
    weights = Path(adapter.path) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept_bytes])
    with pytest.raises(InvalidArgument, match="damaged or cut short"):
        AdapterStore(store, "", "tiny", 64).place(AdapterRef(adapter_digest(Path(adapter.path)), adapter.path))
    assert list(store.iterdir()) == []


def test_names_hold_nothing_that_a_path_or_an_address_could_mean(tmp_path: Path) -> None:
    ref = write_adapter(tmp_path / "Ünï:code elf")
    assert name_of(ref) == f"_n__code_elf@{ref.digest[:16]}"
