"""npc.load, unload, reload, stats, set and help over a real channel."""

from __future__ import annotations

import asyncio
import shlex

import grpc
import pytest
from rich.cells import cell_len

from tests.daemon.conftest import StartTown, Town, soon
from tests.daemon.console.typed import run
from tests.fakes import Reply, write_adapter, write_persona
from townsfolk.config import DaemonSettings
from townsfolk.daemon.console.arguments import read_arguments
from townsfolk.daemon.console.command import find
from townsfolk.daemon.console.vocabulary import VOCABULARY
from townsfolk.daemon.console.words import split


async def test_load_and_unload_move_the_adapter(town: Town) -> None:
    digest = town.daemon.library.get("smith").adapter.digest
    loaded = await run(town, "npc.load smith")
    assert loaded.text.startswith("loaded smith in ")
    assert digest[:12] in loaded.text
    assert town.engine.resident == [digest]
    assert (await run(town, "npc.load smith")).text == "smith was loaded already\n"
    assert (await run(town, "npc.unload smith")).text == "unloaded smith; its next line loads it again\n"
    assert town.engine.resident == []
    assert (await run(town, "npc.load monk")).of("warning").startswith("monk has no adapter")


async def test_unloading_a_speaker_waits_for_its_line(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script.append(Reply(hold=hold))
    saying = asyncio.create_task(town.say())
    await town.engine.line(0)
    assert (await run(town, "npc.unload smith")).of("warning").startswith("smith still speaks")
    hold.set()
    await soon(saying)


async def test_load_refuses_an_adapter_for_another_model(town: Town) -> None:
    write_adapter(write_persona(town.daemon.library.folders[0], "guard"), "other-model")
    assert (await run(town, "npc.load guard")).code == grpc.StatusCode.FAILED_PRECONDITION


async def test_reload_tells_what_changed(town: Town) -> None:
    folder = town.daemon.library.folders[0]
    assert (await run(town, "npc.reload")).text == "nothing has changed\n"
    write_persona(folder, "guard")
    write_persona(folder, "elf", summary="New.")
    (folder / "monk" / "persona.toml").unlink()
    (write_persona(folder, "smith") / "persona.toml").write_text("[")
    printed = await run(town, "npc.reload")
    assert printed.of("plain") == "new: guard\nchanged: elf\ngone: monk\n"
    assert printed.of("warning") == "cannot be read and stay as they were: smith\n"
    assert (await run(town, "npc.reload smith")).code == grpc.StatusCode.INVALID_ARGUMENT


async def test_stats_tell_how_the_town_is_doing(town: Town) -> None:
    await town.say()
    printed = await run(town, "npc.stats")
    assert printed.of("heading").startswith("Townsfolk 0.1.0: ready, up ")
    assert "1 finished (0 cancelled, 0 fallback), 0 failed" in printed.of("plain")
    assert "model         tiny in float32 on cpu" in printed.of("plain")
    assert "without       a prompt's KV shared between activated adapters\n" in printed.of("plain")
    assert "1 of 64 slots in use" in printed.of("plain")


async def test_stats_list_personas_sessions_and_turns(town: Town) -> None:
    assert (await run(town, "npc.stats sessions")).text == "no session is open\n"
    assert (await run(town, "npc.stats turns")).text == "nobody was asked for a line yet\n"
    session = await town.open("smith", "elf", player_name="Mira")
    await town.say(session_id=session, turn_id="guard-1")
    (write_persona(town.daemon.library.folders[0], "broken") / "persona.toml").write_text("[")
    printed = await run(town, "npc.stats personas")
    personas = printed.of("plain").splitlines()
    assert [row.split()[0] for row in personas] == ["broken", "elf", "monk", "smith"]
    assert printed.of("warning").startswith("broken: ")
    assert "is not valid TOML" in printed.of("warning")
    assert "loaded" in personas[3]
    write_persona(town.daemon.library.folders[0], "parser", kind="task")
    assert len((await run(town, "npc.stats personas")).of("plain").splitlines()) == 4
    tasks = (await run(town, "npc.stats tasks")).of("plain").splitlines()
    assert [row.split()[0] for row in tasks] == ["broken", "parser"]
    assert (await run(town, "npc.stats sessions", columns=120)).of("plain").split() == [
        session, "smith,", "elf", "Mira", "1", "0",
    ]  # fmt: skip
    row = (await run(town, "npc.stats turns", columns=120)).of("plain").split()
    assert (row[:3], row[-1]) == (["guard-1", "smith", "stop"], "Aye.")


async def test_lists_are_bounded(town: Town) -> None:
    for number in range(105):
        await town.open("smith", session_id=f"s{number}")
    printed = await run(town, "npc.stats sessions")
    assert len(printed.of("plain").splitlines()) == 100
    assert printed.of("plain").startswith("s104 ")
    assert printed.of("detail") == "and 5 older ones\n"


@pytest.mark.parametrize("columns", [20, 40, 80])
async def test_every_table_fits_the_console(town: Town, columns: int) -> None:
    town.engine.script.append(Reply("日本語 " * 30))
    await town.say("Well met. " * 30, session_id=await town.open("smith"))
    lines = ["npc.stats", "npc.stats personas", "npc.stats sessions", "npc.stats turns", "npc.trace", "npc.set"]
    for line in [*lines, "npc.help", *(f"npc.help {name}" for name in VOCABULARY)]:
        printed = await run(town, line, columns=columns)
        assert printed.code == grpc.StatusCode.OK
        rows = (printed.of("plain") + printed.of("heading")).splitlines()
        assert max(map(cell_len, rows)) <= columns, line


async def test_set_lists_reads_and_changes_what_can_change(start_town: StartTown) -> None:
    town = await start_town(max_sessions=3)
    listed = (await run(town, "npc.set")).of("plain").splitlines()
    names = [row.split()[0] for row in listed]
    assert all(name.removeprefix("daemon.") in DaemonSettings.model_fields for name in names)
    assert (await run(town, "npc.set daemon.max_sessions")).text == (
        "daemon.max_sessions = 3\nsessions open at a time; whole number, at least 1, at most 10000000; default 10000\n"
    )
    changed = await run(town, "npc.set daemon.max_sessions 1")
    assert changed.of("plain") == "daemon.max_sessions = 1 (was 3)\n"
    assert "townsfolk.toml is not touched" in changed.of("detail")
    await town.open("smith")
    with pytest.raises(grpc.aio.AioRpcError):
        await town.open("smith")


async def test_every_setting_is_obeyed(town: Town) -> None:
    values = {"max_queued_turns": 1, "max_stream_turns": 2, "default_deadline_s": 0.05, "drain_grace_s": 0.5}
    for name, value in values.items():
        assert (await run(town, f"npc.set daemon.{name} {value}")).of("plain").startswith(f"daemon.{name} = {value} ")
    assert town.daemon._dialogue.max_stream_turns == 2
    assert town.daemon.drain_grace_s == 0.5
    town.engine.script.append(Reply(hold=asyncio.Event()))
    saying = asyncio.create_task(run(town, "npc.say smith hello"))
    await town.engine.line(0)
    assert (await run(town, "npc.say elf hello")).code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await soon(saying)).code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await run(town, "npc.set daemon.exit_when_idle_s 0.01")).code == grpc.StatusCode.OK
    await soon(town.daemon._stopping.wait())


async def test_help_lists_the_vocabulary_of_the_design(town: Town) -> None:
    rows = (await run(town, "npc.help")).of("plain").splitlines()
    design = "say cancel load unload reload stats trace replay set help"
    assert [row.split()[0] for row in rows] == [f"npc.{word}" for word in design.split()]


@pytest.mark.parametrize("name", VOCABULARY)
async def test_help_explains_everything_that_a_command_takes(town: Town, name: str) -> None:
    printed = await run(town, f"npc.help {name}", columns=120)
    command = VOCABULARY[name]
    for taken in (*command.parameters, *command.options):
        assert f"\n{taken.usage}" in "\n" + printed.of("plain")
        assert taken.help in printed.of("plain")


@pytest.mark.parametrize("name", VOCABULARY)
def test_examples_are_lines_of_their_command(name: str) -> None:
    example = VOCABULARY[name].example
    line = split(example)
    assert [word.text for word in line] == shlex.split(example)
    command = find(VOCABULARY, line[0].text)
    assert command.name == name
    read_arguments(command, line[1:], len(example))
