"""npc.say and npc.cancel over a real channel."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from tests.daemon.conftest import PATIENCE_S, Town, soon
from tests.daemon.console.typed import run
from tests.fakes import Reply, unavailable
from townsfolk.v1.console_pb2 import ExecuteRequest


async def test_say_streams_speech_and_then_what_it_cost(town: Town) -> None:
    town.engine.script.append(Reply("Grüß dich. 🍺"))
    printed = await run(town, 'npc.say smith "Well met."')
    assert printed.code == grpc.StatusCode.OK
    assert printed.of("speech") == "Grüß dich. 🍺\n"
    assert printed.pieces[0].text == "G"
    detail = printed.of("detail")
    assert "first after" in detail
    assert "tokens/s" in detail
    assert "1 adapter in the largest step · batch of 1 line\n" in detail
    assert (await town.engine.line(0)).prompt.endswith("user\nWell met.<|im_end|>\n<|im_start|>assistant\n")


async def test_speech_comes_while_it_is_spoken(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script.append(Reply("Aye, steel.", hold=hold, hold_after=4))
    spoken = ""
    async with asyncio.timeout(PATIENCE_S):
        async for piece in town.console.Execute(ExecuteRequest(line="npc.say smith hello")):
            spoken += piece.text
            if spoken == "Aye,":  # the engine waits for this
                hold.set()
    assert spoken.startswith("Aye, steel.\nturn ")


async def test_words_without_quotes_are_the_line(town: Town) -> None:
    await run(town, "npc.say smith Do you   sell rope? -- --no-option")
    assert "user\nDo you sell rope? --no-option<|im_end|>" in (await town.engine.line(0)).prompt


async def test_every_option_reaches_the_engine(town: Town) -> None:
    town.engine.script.append(Reply("Aye. Player: no"))
    printed = await run(
        town,
        'npc.say --seed=18446744073709551615 smith "Well?" --situation "dusk, shop closing" --temperature 0 --top-p .5 '
        "--top-k 7 --min-p 0.25 --repetition-penalty 1.5 --max-tokens 40 --stop Player: --stop Other: "
        "--priority urgent --deadline 9",
    )
    assert printed.of("speech") == "Aye.\n"
    line = await town.engine.line(0)
    sampling = line.sampling
    assert (sampling.seed, sampling.temperature, sampling.top_p, sampling.top_k) == (2**64 - 1, 0.0, 0.5, 7)
    assert (sampling.min_p, sampling.repetition_penalty, sampling.max_tokens) == (0.25, 1.5, 40)
    assert line.priority == 1
    assert "(dusk, shop closing) Well?" in line.prompt


async def test_say_goes_on_in_the_consoles_session_or_the_one_it_names(town: Town) -> None:
    one, other = await town.open("smith"), await town.open("smith", "elf")
    await run(town, "npc.say smith First.", session_id=one)
    await run(town, f"npc.say smith Second. --session {other}", session_id=one)
    await run(town, "npc.say smith Third.", session_id=one)
    prompts = [(await town.engine.line(number)).prompt for number in range(3)]
    assert "First." not in prompts[1]
    assert "First." in prompts[2]
    assert "Second." not in prompts[2]


async def test_words_of_a_model_hold_no_control_codes(town: Town) -> None:
    town.engine.script.append(Reply("\x1b[2J\x1b]0;gone\x07Aye.\x9b"))
    assert (await run(town, "npc.say smith hello")).of("speech") == "[2J]0;goneAye.\n"


async def test_a_line_that_fails_keeps_what_was_said_and_ends_with_its_status(town: Town) -> None:
    town.engine.script.append(Reply("Aye, ste", error=unavailable(), fail_after=5))
    printed = await run(town, "npc.say smith hello")
    assert printed.code == grpc.StatusCode.UNAVAILABLE
    assert printed.of("speech") == "Aye,\n"
    assert printed.of("error") == printed.sentence + "\n" == "the engine is gone\n"


async def test_leaving_the_call_cancels_the_line(town: Town) -> None:
    town.engine.script.append(Reply("Aye, steel.", hold=asyncio.Event(), hold_after=3))
    call = town.console.Execute(ExecuteRequest(line="npc.say smith hello"))
    await soon(call.read())
    line = await town.engine.line(0)
    call.cancel()
    await soon(line.ended.wait())
    assert line.cancelled


async def test_a_line_may_not_take_longer_than_its_deadline(town: Town) -> None:
    town.engine.script.append(Reply("Aye", hold=asyncio.Event(), hold_after=1))
    printed = await run(town, "npc.say smith hello --deadline 0.05")
    assert "A\nthe line was cut short: its time was up\n" in printed.text


async def test_a_line_that_does_not_begin_in_time_is_deadline_exceeded(town: Town) -> None:
    town.engine.script.append(Reply("Aye", hold=asyncio.Event(), hold_after=0))
    printed = await run(town, "npc.say smith hello --deadline 0.05")
    assert printed.code == grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("name", ["guard-7", "guar", "all"])
async def test_cancel_ends_a_turn_and_its_speaker_keeps_what_was_said(town: Town, name: str) -> None:
    town.engine.script.append(Reply("Aye, steel.", hold=asyncio.Event(), hold_after=3))
    saying = asyncio.create_task(town.say(turn_id="guard-7"))
    await town.engine.line(0)
    while not next(iter(town.daemon.runner.registry.running)).spoken:
        await asyncio.sleep(0)
    printed = await run(town, f"npc.cancel {name}")
    assert printed.text in ("cancelled turn guard-7 of smith\n", "cancelled 1 turn\n")
    assert (await soon(saying))[-1].finished.text == "Aye"


async def test_a_line_of_the_console_that_is_cancelled_says_so(town: Town) -> None:
    town.engine.script.append(Reply("Aye, steel.", hold=asyncio.Event(), hold_after=3))
    saying = asyncio.create_task(run(town, "npc.say smith hello"))
    await town.engine.line(0)
    await run(town, "npc.cancel all")
    printed = await soon(saying)
    assert (printed.code, printed.of("warning")) == (grpc.StatusCode.OK, "the line was cancelled\n")


async def test_cancel_names_one_turn_or_none(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script += [Reply(hold=hold), Reply(hold=hold)]
    both = asyncio.gather(town.say(turn_id="guard-1"), town.say(turn_id="guard-2", persona_id="elf"))
    await town.engine.line(1)
    two = await run(town, "npc.cancel guard")
    assert (two.code, two.sentence) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "2 turns begin with 'guard'; give more of the id",
    )
    for name in ("nobody", "gua"):
        assert (await run(town, f"npc.cancel {name}")).code == grpc.StatusCode.NOT_FOUND
    hold.set()
    await soon(both)
    assert (await run(town, "npc.cancel guard-1")).code == grpc.StatusCode.NOT_FOUND
    assert (await run(town, "npc.cancel all")).text == "cancelled 0 turns\n"
