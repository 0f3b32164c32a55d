"""The Tab key: what it offers where, over a real channel."""

from __future__ import annotations

import asyncio

import pytest

from tests.daemon.conftest import Town
from tests.daemon.console.typed import offered, run, words
from tests.fakes import Reply, write_persona
from townsfolk.daemon.console.vocabulary import VOCABULARY

SAY_OPTIONS = [
    "--session", "--situation", "--seed", "--temperature", "--top-p", "--top-k", "--min-p", "--repetition-penalty",
    "--max-tokens", "--stop", "--priority", "--deadline",
]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "texts", "span"),
    [
        ("", [*VOCABULARY], (0, 0)),
        ("n", [*VOCABULARY], (0, 1)),
        ("npc.s", ["npc.say", "npc.stats", "npc.set"], (0, 5)),
        ("st", ["npc.stats"], (0, 2)),
        ("s", ["npc.say", "npc.stats", "npc.set"], (0, 1)),
        ("NPC.R", ["npc.reload", "npc.replay"], (0, 5)),
        ("  npc.l", ["npc.load"], (2, 7)),
        ("make", [], (0, 4)),
        ("make tea", [], (5, 8)),
        ("npc.say ", ["elf", "monk", "smith"], (8, 8)),
        ("npc.say s", ["smith"], (8, 9)),
        ("npc.say mit", ["smith"], (8, 11)),
        ("npc.say 's", ["smith"], (8, 10)),
        ("npc.say smith ", SAY_OPTIONS, (14, 14)),
        ("npc.say smith hel", [], (14, 17)),
        ("npc.say smith 'hello there", [], (14, 26)),
        ("npc.say smith hello --s", ["--session", "--situation", "--seed", "--stop"], (20, 23)),
        ("npc.say --seed 7 --stop x smith --s", ["--session", "--situation", "--stop"], (32, 35)),
        ("npc.say --seed ", [], (15, 15)),
        ("npc.say --priority ", ["background", "normal", "urgent"], (19, 19)),
        ("npc.say --priority=u", ["--priority=urgent"], (8, 20)),
        ("npc.say -- --s", [], (11, 14)),
        ("npc.say --seed 7 e", ["elf"], (17, 18)),
        ("npc.load ", ["elf", "monk", "smith"], (9, 9)),
        ("npc.load elf ", [], (13, 13)),
        ("npc.stats p", ["personas"], (10, 11)),
        ("npc.cancel ", ["all"], (11, 11)),
        ("npc.trace ", ["last"], (10, 10)),
        ("npc.replay last --persona ", ["elf", "monk", "smith"], (26, 26)),
        ("npc.set daemon.d", ["daemon.default_deadline_s", "daemon.drain_grace_s"], (8, 16)),
        ("npc.set daemon.max_sessions ", ["10000"], (28, 28)),
        ("npc.help npc.t", ["npc.trace"], (9, 14)),
        ("npc.say sm|xyz hello", ["smith"], (8, 13)),
        ("npc.say |elf hello", ["elf", "monk", "smith"], (8, 11)),
        ("np|c.say elf", [*VOCABULARY], (0, 7)),
        ("npc.say grüß🍺 --pri|x", ["--priority"], (14, 20)),
        ("npc.say 's|mith and more", ["smith"], (8, 10)),
    ],
)
async def test_what_tab_offers(town: Town, line: str, texts: list[str], span: tuple[int, int]) -> None:
    answer = await offered(town, line)
    assert [completion.text for completion in answer.completions] == texts
    assert (answer.replace_start, answer.replace_end) == span


async def test_candidates_are_described(town: Town) -> None:
    write_persona(town.daemon.library.folders[0], "guard", summary="Keeps the gate.")
    (write_persona(town.daemon.library.folders[0], "broken") / "persona.toml").write_text("[")
    about = {c.text: c.description for c in (await offered(town, "npc.say ")).completions}
    assert about["guard"] == "Guard: Keeps the gate."
    assert about["broken"].startswith("cannot be read: ")
    assert (await offered(town, "npc.set daemon.max_se")).completions[0].description == "10000: sessions open at a time"
    assert all(c.description for c in (await offered(town, "npc.say smith ")).completions)


async def test_sessions_and_turns_are_offered_newest_first(town: Town) -> None:
    first, second = await town.open("smith"), await town.open("smith", "elf")
    assert await words(town, "npc.say smith hello --session ") == [second, first]
    await town.say(session_id=first, turn_id="guard-1")
    await town.say(session_id=second, turn_id="guard-2")
    assert await words(town, "npc.trace ") == ["last", "guard-2", "guard-1"]
    assert await words(town, "npc.replay ", session_id=first) == ["last", "guard-1", "guard-2"]
    assert (await offered(town, "npc.trace guard-1")).completions[0].description == "smith: Aye."


async def test_only_turns_that_run_can_be_cancelled(town: Town) -> None:
    await town.say(turn_id="guard-1")
    hold = asyncio.Event()
    town.engine.script.append(Reply(hold=hold))
    saying = asyncio.create_task(town.say(turn_id="guard-2"))
    await town.engine.line(1)
    assert await words(town, "npc.cancel ") == ["all", "guard-2"]
    hold.set()
    await saying


async def test_at_most_64_are_offered(town: Town) -> None:
    for number in range(80):
        write_persona(town.daemon.library.folders[0], f"guard{number:03}")
    offers = await words(town, "npc.load guard")
    assert offers == [f"guard{number:03}" for number in range(64)]


async def test_what_is_offered_can_be_run(town: Town) -> None:
    for command in VOCABULARY:
        answer = await offered(town, f"npc.help {command}")
        assert answer.completions[0].text == command
        assert (await run(town, f"npc.help {command}")).sentence == ""
