"""The logic that needs no engine: its own tests, and the same over the real native client and a daemon."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from tests.fakes import Reply, ScriptedEngine, write_persona
from tests.unreal.conftest import ROOT, cmake_build, missing, run
from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon

BUILD = ROOT / "build/unreal"
NAMES = {"win32": "townsfolk_client.lib", "darwin": "libtownsfolk_client.dylib"}
GRAPHEME_SAMPLES = 4000


@pytest.fixture(scope="module")
def native_library() -> Path:
    """The real native client, which `make native` builds."""
    given = os.environ.get("TOWNSFOLK_CLIENT_LIBRARY")
    library = Path(given) if given else ROOT / "build/native" / NAMES.get(sys.platform, "libtownsfolk_client.so")
    if not library.is_file():
        missing(f"{library} is not built: run `make native`")
    return library


def test_engine_free_logic() -> None:
    program = cmake_build(BUILD, "unreal_core_tests")
    done = run([str(program)])
    assert done.returncode == 0, done.stdout + done.stderr


def test_subtitles_never_split_what_readers_see_as_one_character(tmp_path: Path) -> None:
    """Against the grapheme clusters of the ``regex`` package."""
    regex = pytest.importorskip("regex")
    program = cmake_build(BUILD, "unreal_core_tests")
    pool = [
        *"aZ é\r\n",
        *map(chr, (0x301, 0x308, 0x200D, 0x200C, 0xFE0F, 0x1F3FD, 0x1F1E9, 0x1F1EA, 0x1F468, 0x1F469, 0x2764)),
        *map(chr, (0x1100, 0x1161, 0x11A8, 0xAC00, 0xAC01, 0x915, 0x937, 0x94D, 0x93C, 0x93F, 0x600, 0xE33, 0xE01)),
    ]
    chance = random.Random(7)
    lines = []
    for _ in range(GRAPHEME_SAMPLES):
        text = "".join(chance.choices(pool, k=chance.randint(1, 12)))
        offset, bounds = 0, []
        for cluster in regex.findall(r"\X", text):
            offset += len(cluster.encode())
            bounds.append(str(offset))
        lines += [text.encode().hex(" "), " ".join(bounds)]
    cases = tmp_path / "cases.txt"
    cases.write_text("\n".join(lines) + "\n", "ascii")
    done = run(
        [str(program), "--gtest_filter=Graphemes.NeverEnd*"],
        TOWNSFOLK_GRAPHEME_CASES=str(cases),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[  PASSED  ] 1 test." in done.stdout


async def test_engine_free_logic_over_the_real_client_and_a_daemon(native_library: Path, tmp_path: Path) -> None:
    program = await asyncio.to_thread(
        cmake_build, BUILD, "unreal_daemon_test", f"-DTOWNSFOLK_CLIENT_LIBRARY={native_library}"
    )
    for persona_id in ("dwarf_smith", "forest_elf", "old_knight"):
        write_persona(tmp_path / "personas", persona_id)
    settings = Settings.model_validate(
        {
            "daemon": {"address": "127.0.0.1:0", "drain_grace_s": 0},
            "personas": {"folders": [tmp_path / "personas"]},
        }
    )
    daemon = Daemon(settings, ScriptedEngine(Reply("Grüß dich, 旅人. Long ago …") for _ in range(20)))
    await daemon.start()
    try:
        done = await asyncio.to_thread(
            run,
            [str(program)],
            timeout=300,
            TOWNSFOLK_ADDRESS=daemon.address,
            TOWNSFOLK_STATE_DIR=str(tmp_path / "state"),
        )
    finally:
        await daemon.stop()
    assert done.returncode == 0, done.stdout + done.stderr
