"""Save, Restore and Fork over the wire: a conversation that outlives its daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.daemon.conftest import PATIENCE_S, StartTown, Town, soon, spoken
from tests.fakes import Reply
from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon
from townsfolk.dialogue import saves
from townsfolk.dialogue.prompt import Exchange
from townsfolk.dialogue.session import PastTurn
from townsfolk.engine.process import EngineProcess
from townsfolk.v1.common_pb2 import SamplingParams
from townsfolk.v1.dialogue_pb2 import CancelTurnRequest, ReportHeardRequest
from townsfolk.v1.session_pb2 import CloseRequest, ForkRequest, RestoreRequest, SaveRequest, SaveResponse


async def save(town: Town, session: str) -> SaveResponse:
    saved: SaveResponse = await soon(town.sessions.Save(SaveRequest(session_id=session)))
    return saved


async def restore(town: Town, state: bytes, session_id: str = "") -> Any:
    return await soon(town.sessions.Restore(RestoreRequest(state=state, session_id=session_id)))


async def status_of(call: Any) -> tuple[str, str]:
    """Status and message that a call fails with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await soon(call)
    return raised.value.code().name, raised.value.details() or ""


async def test_a_restored_conversation_goes_on_with_the_same_prompt(start_town: StartTown) -> None:
    town = await start_town()
    session = await town.open("smith", "elf", session_id="mine", player_name="Ada", metadata={"quest": "rope"})
    town.engine.script += [Reply(" Nine marks. "), Reply("Leaves."), Reply("Grüße, 🍺!")]
    await town.say("How much?", session_id=session, situation="at the forge")
    await town.say("A secret.", session_id=session, persona_id="elf")
    await town.say("And this?", session_id=session)
    saved = await save(town, session)
    assert (saved.format_version, saved.turns) == (1, 3)
    await town.say("Well?", session_id=session)

    fresh = await start_town()
    restored = await restore(fresh, saved.state)
    assert (restored.session_id, list(restored.missing_persona_ids)) == ("mine", [])
    await fresh.say("Well?", session_id="mine")
    assert (await fresh.engine.line(0)).prompt == (await town.engine.line(3)).prompt
    assert "assistant\n Nine marks. <|im_end|>" in (await fresh.engine.line(0)).prompt  # the tokens, not the words
    assert fresh.daemon.sessions.get("mine").metadata == {"quest": "rope"}
    assert (await save(fresh, "mine")).turns == 4


async def test_a_save_is_the_same_before_and_after_a_restore(town: Town, start_town: StartTown) -> None:
    session = await town.open("smith")
    await town.say(session_id=session)
    first = await save(town, session)
    fresh = await start_town()
    await restore(fresh, first.state)
    assert (await save(fresh, session)).state == first.state


async def test_turns_that_still_run_are_left_out(town: Town) -> None:
    session = await town.open("smith")
    await town.say("One.", session_id=session)
    town.engine.script.append(Reply("Never.", hold=asyncio.Event(), hold_after=3))
    running = asyncio.create_task(town.say("Two.", session_id=session, turn_id="t2"))
    await town.engine.line(1)
    assert (await save(town, session)).turns == 1
    fork = (await town.sessions.Fork(ForkRequest(session_id=session))).session_id
    assert [p.exchange.player for p in town.daemon.sessions.get(fork).history] == ["One."]
    await town.dialogue.CancelTurn(CancelTurnRequest(turn_id="t2"))
    await running


async def test_an_id_that_is_open_is_taken_and_another_one_is_not(town: Town) -> None:
    session = await town.open("smith", session_id="mine")
    await town.say("One.", session_id=session)
    state = (await save(town, session)).state
    await town.say("Two.", session_id=session)
    assert (await status_of(restore(town, state)))[0] == "ALREADY_EXISTS"
    assert len(town.daemon.sessions.get("mine").history) == 2  # the session that was there stays
    assert (await restore(town, state, "other")).session_id == "other"
    assert len(town.daemon.sessions.get("other").history) == 1
    assert (await status_of(restore(town, state, "no spaces")))[0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state[:-1], "truncated"),
        (lambda state: state[:-1] + bytes([state[-1] ^ 1]), "damaged"),
        (lambda state: saves.seal(2, state), "newer"),
        (lambda state: b"PK" + state, "no save"),
        (lambda state: b"", "no save"),
    ],
)
async def test_a_save_that_cannot_be_read_is_refused_and_changes_nothing(town: Town, change: Any, reason: str) -> None:
    session = await town.open("smith", session_id="mine")
    await town.say("One.", session_id=session)
    state = (await save(town, session)).state
    for target in ("mine", "other", ""):
        status, message = await status_of(restore(town, change(state), target))
        assert status == "INVALID_ARGUMENT"
        assert reason in message
    assert len(town.daemon.sessions) == 1
    await town.say("Two.", session_id=session)
    assert "One." in (await town.engine.line(1)).prompt


async def test_missing_personas_are_named_and_the_others_go_on(start_town: StartTown, persona_folder: Path) -> None:
    town = await start_town()
    session = await town.open("smith", "elf")
    await town.say("One.", session_id=session)
    state = (await save(town, session)).state
    (persona_folder / "elf" / "persona.toml").unlink()
    fresh = await start_town()
    restored = await restore(fresh, state)
    assert list(restored.missing_persona_ids) == ["elf"]
    await fresh.say("Two.", session_id=session)
    assert "One." in (await fresh.engine.line(0)).prompt
    assert (await status_of(fresh.say(session_id=session, persona_id="elf")))[0] == "NOT_FOUND"


async def test_a_full_daemon_restores_no_more(start_town: StartTown) -> None:
    town = await start_town(max_sessions=1)
    session = await town.open("smith")
    state = (await save(town, session)).state
    assert (await status_of(restore(town, state, "other")))[0] == "RESOURCE_EXHAUSTED"
    await town.sessions.Close(CloseRequest(session_id=session))
    await restore(town, state)


async def test_forged_tokens_never_reach_a_prompt(start_town: StartTown) -> None:
    forged = PastTurn("t1", "smith", Exchange("", "Hello.", "Aye.", (258, 257, 258)))  # ends the turn, begins another
    saved = saves.SavedSession("mine", ("smith",), "", {}, [forged], {})
    town = await start_town()
    await restore(town, saves.encode(saved)[0])
    await town.say("Well?", session_id="mine")
    assert "assistant\nAye.<|im_end|>\n" in (await town.engine.line(0)).prompt
    assert (await town.engine.line(0)).prompt.count("<|im_start|>") == 5


async def test_saving_needs_an_open_session(town: Town) -> None:
    assert (await status_of(save(town, "nope")))[0] == "NOT_FOUND"
    assert (await status_of(town.sessions.Fork(ForkRequest(session_id="nope"))))[0] == "NOT_FOUND"


async def test_what_was_reported_as_heard_is_what_is_saved(town: Town, start_town: StartTown) -> None:
    session = await town.open("smith")
    town.engine.script.append(Reply("Nine marks and a horse."))
    await town.say("How much?", session_id=session, turn_id="t1")
    await town.dialogue.ReportHeard(ReportHeardRequest(turn_id="t1", heard_characters=10))
    fresh = await start_town()
    await restore(fresh, (await save(town, session)).state)
    await fresh.say("Well?", session_id=session)
    assert "assistant\nNine marks<|im_end|>" in (await fresh.engine.line(0)).prompt


# ── Fork ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_copy_goes_its_own_way(town: Town) -> None:
    session = await town.open("smith", player_name="Ada", metadata={"quest": "rope"})
    await town.say("One.", session_id=session)
    fork = (await town.sessions.Fork(ForkRequest(session_id=session, new_session_id="copy"))).session_id
    assert fork == "copy"
    await town.say("Two.", session_id=session)
    await town.say("Three.", session_id=fork)
    prompt = (await town.engine.line(2)).prompt
    assert "One." in prompt
    assert "Two." not in prompt
    assert "Ada" in prompt
    assert town.daemon.sessions.get(fork).metadata == {"quest": "rope"}
    await town.sessions.Close(CloseRequest(session_id=session))
    await town.say("Four.", session_id=fork)


@pytest.mark.parametrize(("keep", "kept"), [(0, 0), (2, 2), (99, 3), (None, 3)])
async def test_a_copy_may_keep_the_beginning_only(town: Town, keep: int | None, kept: int) -> None:
    session = await town.open("smith")
    for number in range(3):
        await town.say(f"Question {number}.", session_id=session)
    request = ForkRequest(session_id=session, keep_turns=keep)
    fork = (await town.sessions.Fork(request)).session_id
    questions = [past.exchange.player for past in town.daemon.sessions.get(fork).history]
    assert questions == [f"Question {number}." for number in range(kept)]
    assert fork != session


async def test_a_copy_needs_an_id_of_its_own(town: Town) -> None:
    session = await town.open("smith")
    request = ForkRequest(session_id=session, new_session_id=session)
    assert (await status_of(town.sessions.Fork(request)))[0] == "ALREADY_EXISTS"


# ── the real model ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.real_model
async def test_a_restored_conversation_says_token_for_token_what_it_would_have_said(
    real_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.daemon.conftest.PATIENCE_S", 60 * PATIENCE_S)
    settings = Settings.model_validate(
        {
            "daemon": {"address": "127.0.0.1:0"},
            "engine": {"model": str(real_model_path), "max_context": 1024},
            "personas": {"folders": [Path(__file__).parents[2] / "personas"]},
        }
    )
    greedy = SamplingParams(temperature=0.0, max_tokens=24)

    async def ask(town: Town, text: str, session: str) -> tuple[str, int, int]:
        events = await town.say(text, session_id=session, persona_id="forest_elf", sampling=greedy)
        return spoken(events), events[0].started.prompt_tokens, events[-1].finished.stats.completion_tokens

    async def with_daemon(use: Any) -> Any:
        daemon = Daemon(settings, EngineProcess(settings.engine))
        await daemon.start()
        try:
            async with grpc.aio.insecure_channel(daemon.address) as channel:
                return await use(Town(daemon, daemon.engine, channel))  # type: ignore[arg-type]
        finally:
            await daemon.stop()

    async def before(town: Town) -> tuple[bytes, list[tuple[str, int, int]]]:
        session = await town.open("forest_elf", "dwarf_smith", session_id="mine", player_name="Ada")
        for text in ("Who lives here?", "Is the wood safe tonight?", "What do the birds say?"):
            assert (await ask(town, text, session))[0]
        state = (await save(town, session)).state
        return state, [await ask(town, text, session) for text in ("And the old ford?", "Will you guide me?")]

    async def after(town: Town) -> list[tuple[str, int, int]]:
        await restore(town, state)
        return [await ask(town, text, "mine") for text in ("And the old ford?", "Will you guide me?")]

    state, expected = await with_daemon(before)
    assert await with_daemon(after) == expected
