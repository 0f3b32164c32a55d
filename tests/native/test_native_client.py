"""The native client's promises: its own tests beside a real daemon on a scripted engine, and what its library shows.

They are built beside the library of ``make native``, out of the same objects. TOWNSFOLK_NATIVE_BUILD names another
build folder, such as one with sanitizers. It is built as it was configured.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conformance.clients import Missing, client_library
from tests.conformance.scripted_town import ScriptedReply, ScriptedTown, write_town
from tests.fake_painter import UNPAINTABLE
from townsfolk.dialogue.saves import decode
from townsfolk.models import DEFAULT_MODEL

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
BUILD = Path(os.environ.get("TOWNSFOLK_NATIVE_BUILD") or REPOSITORY / "build" / "native").resolve()
SCRIPTED_DAEMON = HERE / "launch" / "scripted_daemon.py"
TEST = re.compile(r"^TEST\((\w+), (\w+)\)", re.MULTILINE)
TESTS = sorted(
    ".".join(names) for path in HERE.glob("*_test.cpp") for names in TEST.findall(path.read_text(encoding="utf-8"))
)
RESTORING = ["Restoring.OpenSessionsGoOnInTheNextDaemonAfterAKill"]  # launches a daemon of its own
CONCEPT = {"hero": "Ines", "conflict": "the lamp shows sunken ships", "place": "a rock"}
REPLIES = [
    ScriptedReply(("Hold your tongue.",), "Hold on to it, then.", gate="never opened", hold_after=len("Hold")),
    ScriptedReply(("Tell me all.",), "tick-tock-" * 150),
    ScriptedReply(("Hello.",), "Hello yourself."),
    *[
        ScriptedReply((f"Idea: {idea}",), json.dumps({**CONCEPT, "title": title}, ensure_ascii=False))
        for idea, title in (("A light.", "Das alte Licht"), ("No end.", "Ohne Ende"), ("No picture.", "Unsichtbar"))
    ],
    ScriptedReply(("story_writer", "Ohne Ende"), "And then, and then", gate="never opened", hold_after=len("And")),
    ScriptedReply(("story_writer",), "Ines lit the lamp. 🚢"),
    ScriptedReply(("picture_prompter", "Unsichtbar"), UNPAINTABLE),
    ScriptedReply(("picture_prompter",), "a lighthouse at night"),
]
TOWN_SETTINGS = {"max_queued_turns": 10_000}
# ThreadSanitizer sees how threads synchronise only in code that was built for it, which distributions' gRPC is not.
# gRPC keeps threads of its own to the end of the process.
TSAN_OPTIONS = {"TSAN_OPTIONS": "ignore_noninstrumented_modules=1 report_thread_leaks=0"}
PATIENCE_S = 600.0  # of one test; a thousand closings take their time

RunTest = Callable[..., None]


def missing(reason: str) -> None:
    """Skips, or fails where TOWNSFOLK_REQUIRE_NATIVE=1 says that everything must be there."""
    if os.environ.get("TOWNSFOLK_REQUIRE_NATIVE") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def run(*command: str | Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=None if environment is None else dict(environment),
    )


# ── the client's own tests ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def program() -> Path:
    """The program with the client's tests, built now."""
    if sys.platform == "win32":
        missing("the client's tests are built here with CMake and a compiler of Unix")
    tools = ("cmake", "c++", "protoc", "grpc_cpp_plugin")
    if lacking := [tool for tool in tools if shutil.which(tool) is None]:
        missing(f"the native client cannot be built here: {' and '.join(lacking)} missing")
    generator = ["-G", "Ninja"] if shutil.which("ninja") and not (BUILD / "CMakeCache.txt").exists() else []
    configured = run("cmake", "-S", REPOSITORY / "native_client", "-B", BUILD, *generator, "-DTOWNSFOLK_TESTS=ON")
    if configured.returncode:
        missing(f"the native client cannot be built here: {configured.stderr.strip()[-800:]}")
    built = run("cmake", "--build", BUILD, "--parallel", "2", "--target", "native_tests")
    assert built.returncode == 0, built.stdout[-8000:] + built.stderr
    return BUILD / "tests" / "native_tests"


@pytest.fixture(scope="session")
def run_test(program: Path) -> RunTest:
    """Runs one of the client's tests in a process of its own. Skips what it skips."""

    def run_it(name: str, **own: str) -> None:
        kept = {key: value for key, value in os.environ.items() if key not in ("TOWNSFOLK_ADDRESS", "TOWNSFOLK_TOKEN")}
        ran = run(program, f"--gtest_filter={name}", environment={**TSAN_OPTIONS, **kept, **own})
        print(ran.stdout, ran.stderr)
        assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-16_000:]
        assert "1 test ran" in ran.stdout or "1 test from" in ran.stdout, f"the program knows no test {name}"
        if "[  SKIPPED ]" in ran.stdout:
            pytest.skip("not where it is built like this")

    return run_it


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedTown]:
    """One daemon for all tests."""
    town = ScriptedTown(write_town(tmp_path_factory.mktemp("town")), REPLIES, TOWN_SETTINGS)
    town.start()
    yield town
    town.stop()


@pytest.mark.parametrize("name", [name for name in TESTS if name not in RESTORING])
def test_client_keeps(name: str, run_test: RunTest, town: ScriptedTown, tmp_path: Path) -> None:
    run_test(name, TOWNSFOLK_TEST_ADDRESS=town.address, TOWNSFOLK_STATE_DIR=str(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="daemons are killed by POSIX signals here")
def test_open_sessions_go_on_in_the_next_daemon_after_a_kill(
    run_test: RunTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts, save = tmp_path / "starts", tmp_path / "save"
    monkeypatch.setenv("TOWNSFOLK_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TOWNSFOLK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TOWNSFOLK_COMMAND", f'"{sys.executable}" "{SCRIPTED_DAEMON}"')
    monkeypatch.setenv("TOWNSFOLK_TEST_STARTS", str(starts))
    DEFAULT_MODEL.path.parent.mkdir(parents=True)
    with DEFAULT_MODEL.path.open("wb") as file:
        file.truncate(DEFAULT_MODEL.size_bytes)  # sparse: only its size is looked at
    try:
        run_test(*RESTORING, TOWNSFOLK_TEST_SAVE=str(save))
    finally:
        for pid in starts.read_text("utf-8").split() if starts.exists() else []:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    heard = repr(decode(save.read_bytes()))
    assert "My name is Ada." in heard
    assert "Who am I?" in heard


def test_every_test_of_the_program_is_run(program: Path) -> None:
    listed = run(program, "--gtest_list_tests").stdout
    names, suite = [], ""
    for line in listed.splitlines():
        if line.startswith("  "):
            names.append(suite + line.strip())
        elif line.endswith("."):
            suite = line
    assert sorted(names) == TESTS


# ── the library ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def library() -> Path:
    """The library that games load, as `make native` builds it."""
    if sys.platform != "linux":
        missing("what a library shows is looked at with the tools of Linux")
    for tool in ("nm", "ldd", "readelf"):
        if shutil.which(tool) is None:
            missing(f"{tool} is not installed; on Debian: apt-get install binutils libc-bin")
    try:
        return client_library()
    except Missing as lacking:
        missing(str(lacking))
        raise


def test_library_shows_its_own_functions_and_nothing_else(library: Path) -> None:
    listed = run("nm", "--dynamic", "--defined-only", library).stdout
    shown = {line.split()[2].partition("@")[0] for line in listed.splitlines()}
    header = (REPOSITORY / "native_client" / "include" / "townsfolk_client.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"TOWNSFOLK_CLIENT_API [^;(]*?(townsfolk_\w+)\(", header))
    assert len(declared) > 20
    assert shown == declared


def test_library_needs_nothing_but_the_c_library(library: Path) -> None:
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "--dynamic", library).stdout)
    assert needed
    assert [name for name in needed if not re.match(r"(libc|libm|libdl|librt|libpthread|ld-linux)[.-]", name)] == []
    loaded = run("ldd", library).stdout
    assert not re.search(r"grpc|protobuf|absl|libstdc\+\+|libgcc", loaded), loaded
