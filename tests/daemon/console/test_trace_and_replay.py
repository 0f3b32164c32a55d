"""npc.trace and npc.replay: what happened to a turn, and the same turn again."""

from __future__ import annotations

import asyncio

import grpc

from tests.daemon.conftest import StartTown, Town, soon
from tests.daemon.console.typed import run
from tests.fakes import Reply, unavailable, write_adapter, write_persona
from townsfolk.v1.common_pb2 import SamplingParams


async def test_trace_shows_prompt_sampling_batch_and_times(town: Town) -> None:
    town.engine.script.append(Reply("Aye, steel."))
    session = await town.open("smith", player_name="Mira")
    await town.say("Well met.", session_id=session, turn_id="guard-1", sampling=SamplingParams(seed=7, temperature=0.5))
    printed = await run(town, "npc.trace guard-1", columns=200)
    rows = [line.split("  ")[0] for line in printed.of("plain").splitlines()]
    assert {"persona", "session", "asked", "player", "adapter", "sampling", "queue", "steps", "batch", "line"} <= {
        *rows
    }
    text = printed.text
    assert "Turn guard-1\n" in text
    assert session in text
    assert "seed 7, temperature 0.5, top-p 0.95" in text
    assert "at most 1 line and 1 adapter in a step" in text
    assert "<|im_start|>\n" in text
    assert "system⏎You are smith.⏎You are speaking with Mira.\n" in text
    assert "taken up by the engine" in text
    assert "first speech: A\n" in text
    assert text.endswith("ended: stop\n")


async def test_segments_add_up_to_the_prompt_with_control_tokens_told_from_text(town: Town) -> None:
    await run(town, 'npc.say monk "I say <|im_end|>."')
    printed = await run(town, "npc.trace last", columns=300)
    prompt = (await town.engine.line(0)).prompt
    table = printed.of("plain").splitlines()
    segments = [row.split(maxsplit=2) for row in table if row.strip()[:1].isdigit() and "." not in row.split()[0]]
    assert "".join(segment for _, _, segment in segments).replace("⏎", "\n") == prompt
    total = sum(int(tokens) for _, tokens, _ in segments)
    assert f"Prompt: {total} tokens, 0 of them cached, 0 earlier exchanges in it\n" in printed.of("heading")
    starts = [int(start) for start, _, _ in segments]
    assert starts == [sum(int(tokens) for _, tokens, _ in segments[:i]) for i in range(len(segments))]
    typed = next(segment for _, _, segment in segments if "I say" in segment)
    assert typed == "user⏎I say <|im_end|>."  # typed by a player, it is text
    assert [segment for _, tokens, segment in segments if tokens == "1" and segment == "<|im_end|>"] == [
        "<|im_end|>"
    ] * 2


async def test_a_full_trace_has_the_whole_prompt_and_every_piece(town: Town) -> None:
    town.engine.script.append(Reply("Aye, steel."))
    await town.say("Well met. " * 30)
    printed = await run(town, "npc.trace --full", columns=20)
    assert (await town.engine.line(0)).prompt in printed.text
    times = [row.split(maxsplit=1) for row in printed.of("plain").splitlines() if row.strip()[:2] == "0."]
    assert [row[1] for row in times if len(row) == 2 and row[1] in "Aye,steel."] == [*"Aye,steel."]


async def test_a_turn_that_runs_and_one_that_failed_are_traced_too(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script += [
        Reply("Aye, steel.", hold=hold, hold_after=3),
        Reply("Ay", error=unavailable(), fail_after=2),
    ]
    saying = asyncio.create_task(town.say(turn_id="t1"))
    await town.engine.line(0)
    while next(iter(town.daemon.runner.registry.running)).spoken != "Aye":
        await asyncio.sleep(0)
    running = await run(town, "npc.trace t1")
    assert "line      Aye\n" in running.text
    assert "ended" not in running.text
    hold.set()
    await soon(saying)
    await run(town, "npc.say elf hello")
    assert (await run(town, "npc.trace last")).text.endswith("ended: UNAVAILABLE: the engine is gone\n")


async def test_a_turn_without_a_prompt_is_traced_and_cannot_be_replayed(town: Town) -> None:
    await run(town, "npc.say nobody hello")
    traced = await run(town, "npc.trace last")
    assert traced.code == grpc.StatusCode.OK
    assert "Prompt" not in traced.text
    assert (await run(town, "npc.replay last --persona smith")).code == grpc.StatusCode.FAILED_PRECONDITION


async def test_last_is_the_sessions_own_last_turn(town: Town) -> None:
    session = await town.open("smith")
    await town.say("Mine.", session_id=session)
    await town.say("Somebody else's.", persona_id="elf")
    assert "Mine." in (await run(town, "npc.trace last", session_id=session)).text
    assert "Somebody else's." in (await run(town, "npc.trace last")).text


async def test_replay_asks_for_the_very_same_thing_and_remembers_nothing(town: Town) -> None:
    session = await town.open("smith")
    await town.say("First.", session_id=session)
    await town.say("Second.", session_id=session, sampling=SamplingParams(stop=["Player:"]))
    await town.say("Third.", session_id=session)
    replayed = town.daemon.runner.sessions.get(session).history[1].turn_id
    printed = await run(town, f"npc.replay {replayed[:10]}")
    second, again = await town.engine.line(1), await town.engine.line(3)
    assert (again.prompt, again.sampling, again.adapter) == (second.prompt, second.sampling, second.adapter)
    assert printed.of("speech") == "Aye.\n"
    assert printed.of("detail").endswith("the same words as then\n")
    assert len(town.daemon.runner.sessions.get(session).history) == 3


async def test_replay_obeys_the_stop_strings_of_then(town: Town) -> None:
    town.engine.script += [Reply("Aye."), Reply("Aye. Player: no")]
    await run(town, "npc.say smith hello --stop Player:")
    assert (await run(town, "npc.replay")).of("speech") == "Aye.\n"


async def test_replay_changes_one_thing(town: Town) -> None:
    await run(town, "npc.say smith hello --seed 7")
    town.engine.script.append(Reply("Nay."))
    reseeded = await run(town, "npc.replay --seed 8")
    scaled = await run(town, "npc.replay --scale 0.25")
    assert reseeded.of("detail").endswith("other words than then\n")
    lines = [await town.engine.line(number) for number in range(3)]
    assert [line.sampling.seed for line in lines] == [7, 8, 8]
    assert [line.adapter.scale for line in lines if line.adapter] == [1.0, 1.0, 0.25]
    assert "at scale 0.25" in (await run(town, "npc.trace last")).text
    assert len({line.prompt for line in lines}) == 1
    assert scaled.code == grpc.StatusCode.OK


async def test_another_persona_answers_the_same_words_after_the_same_history(town: Town) -> None:
    session = await town.open("smith", player_name="Mira")
    await town.say("First.", session_id=session)
    await town.say("Second.", session_id=session, situation="dusk", sampling=SamplingParams(seed=7))
    printed = await run(town, "npc.replay last --persona elf")
    assert printed.code == grpc.StatusCode.OK
    then, now = await town.engine.line(1), await town.engine.line(2)
    assert now.prompt == then.prompt.replace("You are smith.", "You are elf.")
    assert now.sampling == then.sampling
    assert now.adapter is not None
    assert now.adapter.digest == town.daemon.library.get("elf").adapter.digest


async def test_replay_speaks_with_the_present_adapter_and_says_so(town: Town) -> None:
    await run(town, "npc.say smith hello")
    folder = town.daemon.library.folders[0] / "smith"
    write_adapter(folder, weights=b"trained again")
    printed = await run(town, "npc.replay")
    assert printed.of("warning") == "the adapter of smith is another than then; its present one speaks\n"
    then, now = await town.engine.line(0), await town.engine.line(1)
    assert then.prompt == now.prompt
    assert then.adapter.digest != now.adapter.digest


async def test_a_scale_that_cannot_be_applied_is_refused(town: Town) -> None:
    await run(town, "npc.say monk hello")
    assert (await run(town, "npc.replay --scale 1")).sentence == "monk has no adapter to scale"
    for scale in ("-0.1", "2.1"):
        refused = await run(town, f"npc.replay --persona smith --scale {scale}")
        assert refused.sentence == f"an adapter's scale is 0 to 2, not {scale}"


async def test_replays_are_admitted_like_all_lines(start_town: StartTown) -> None:
    town = await start_town(max_queued_turns=1)
    await run(town, "npc.say smith hello")
    hold = asyncio.Event()
    town.engine.script.append(Reply(hold=hold))
    saying = asyncio.create_task(town.say())
    await town.engine.line(1)
    assert (await run(town, "npc.replay last")).code == grpc.StatusCode.RESOURCE_EXHAUSTED
    hold.set()
    await soon(saying)


async def test_a_persona_that_is_gone_cannot_replay(town: Town) -> None:
    write_persona(town.daemon.library.folders[0], "guard")
    await run(town, "npc.say guard hello")
    (town.daemon.library.folders[0] / "guard" / "persona.toml").unlink()
    assert (await run(town, "npc.replay")).code == grpc.StatusCode.NOT_FOUND
    assert (await run(town, "npc.replay --persona smith")).code == grpc.StatusCode.OK
