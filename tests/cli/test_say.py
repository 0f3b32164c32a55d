"""`say`, `talk` and `status` against a town whose lines are written here."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import threading

import pytest

from tests.cli.conftest import Command
from tests.cli.scripted_town import ScriptedTown, scripted_town
from townsfolk.cli.talk import Conversation


def test_say_prints_the_bare_line_to_a_pipe(run: Command, town: ScriptedTown) -> None:
    outcome = run("say", "old_knight", "Good evening.", "--address", town.address)
    assert (outcome.code, outcome.out) == (0, "Well met, good pilgrim.\n")
    assert outcome.err.splitlines() == [
        "(relieved)",
        "→ sell_remedy(price_coppers=3, remedy='burn_salve')",
        "4 tokens · first after 0.21 s · 12.2 tokens/s · 7 adapters in the largest step",
    ]


def test_say_passes_every_option_on(run: Command, town: ScriptedTown) -> None:
    numbers = ("--seed", "7", "--temperature", "0", "--max-tokens", "12", "--timeout", "9")
    words = ("--situation", "dusk", "--session", "s9", "--address", town.address)
    assert run("say", "old_knight", "Well?", *words, *numbers, "--cues").code == 0
    (asked,) = town.asked
    assert (asked.persona_id, asked.text, asked.situation, asked.session_id) == ("old_knight", "Well?", "dusk", "s9")
    assert (asked.sampling.seed, asked.sampling.temperature, asked.sampling.max_tokens) == (7, 0.0, 12)
    assert asked.sampling.HasField("temperature")
    assert not asked.sampling.HasField("top_p")
    assert asked.deadline_s == 9.0
    assert asked.with_cues


def test_say_json_prints_one_event_a_line(run: Command, town: ScriptedTown) -> None:
    outcome = run("say", "old_knight", "hello", "--address", town.address, "--json")
    events = [json.loads(line) for line in outcome.out.splitlines()]
    kinds = ["started", *["speech_delta"] * 4, "emotion", "action", "finished"]
    assert [event["event"] for event in events] == kinds
    assert [event["sequence"] for event in events] == list(range(8))
    assert (
        "".join(e["speech_delta"]["text"] for e in events if e["event"] == "speech_delta") == "Well met, good pilgrim."
    )
    assert events[6]["action"]["arguments"] == {"remedy": "burn_salve", "price_coppers": 3}
    finished = events[-1]["finished"]
    assert (finished["reason"], finished["fallback"], finished["stats"]["first_step"]) == ("stop", False, 2**40)


def test_unknown_persona_is_one_sentence(run: Command, town: ScriptedTown) -> None:
    outcome = run("say", "nobody", "hello", "--address", town.address)
    assert (outcome.code, outcome.out, outcome.err) == (1, "", "error: there is no persona 'nobody'\n")


def test_daemon_that_is_not_there_is_one_sentence(run: Command) -> None:
    outcome = run("say", "old_knight", "hello", "--address", "127.0.0.1:1")
    assert (outcome.code, outcome.err) == (1, "error: no daemon answers at 127.0.0.1:1; `townsfolk serve` starts one\n")


@pytest.mark.parametrize("address", ["127.0.0.1:http", ":50551", "127.0.0.1:70000"])
def test_bad_address_is_one_sentence(run: Command, address: str) -> None:
    outcome = run("say", "old_knight", "hello", "--address", address)
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: {address!r} is no address; ")


def test_token_comes_from_the_environment(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_town(token="open sesame") as town:
        monkeypatch.setenv("TOWNSFOLK_ADDRESS", town.address)
        refused = run("say", "old_knight", "hello")
        assert refused.err.startswith("error: the token is missing or wrong; set TOWNSFOLK_TOKEN")
        monkeypatch.setenv("TOWNSFOLK_TOKEN", "open sesame")
        assert run("say", "old_knight", "hello").code == 0


def test_say_without_a_model_says_how_to_get_one(run: Command) -> None:
    outcome = run("say", "old_knight", "hello")
    assert outcome.code == 1
    assert outcome.err.endswith("run `townsfolk models pull`\n")


def test_talk_reads_lines_from_a_pipe_in_one_session(
    run: Command, town: ScriptedTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "Good evening.\n/stats\n\n/persona dwarf_smith\nAnd you?\n/quit\nnever asked\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    outcome = run("talk", "old_knight", "--cues", "--address", town.address)
    assert outcome.code == 0
    assert all(asked.with_cues for asked in town.asked)
    assert "Dame Aldith  Well met, good pilgrim." in outcome.out
    assert "Borrin Ashhand  Well met, good pilgrim." in outcome.out
    assert "4 tokens · first after 0.21 s" in outcome.out
    assert [(a.persona_id, a.text, a.session_id) for a in town.asked] == [
        ("old_knight", "Good evening.", "s0"),
        ("dwarf_smith", "And you?", "s1"),
    ]
    assert town.sessions == {}  # both were closed


def test_talk_to_an_unknown_persona_is_one_sentence(run: Command, town: ScriptedTown) -> None:
    outcome = run("talk", "nobody", "--address", town.address)
    assert (outcome.code, outcome.err) == (1, "error: there is no persona 'nobody'\n")


def test_status_tells_how_the_town_is_doing(run: Command, town: ScriptedTown) -> None:
    outcome = run("status", "--address", town.address)
    assert outcome.code == 0
    assert outcome.out.startswith(f"Townsfolk 0.1.0 on {town.address}: ready, up 1 min 15 s\n")
    assert "without       adapters stronger or weaker than trained; " in outcome.out
    assert "lines held to a JSON schema" not in outcome.out
    rows = {row[:14].rstrip(): row[14:].rstrip() for row in outcome.out.splitlines()}
    assert rows["now"] == "0 lines running, 0 waiting"  # and no word of limits that are not known
    assert rows["adapters"] == "0 in use, 0 pinned, 0 pushed out so far"
    assert "prefix cache" not in rows
    stats = json.loads(run("status", "--address", town.address, "--json").out)
    assert stats["engine"]["capabilities"]["guided_decoding"] is True
    assert stats["address"] == town.address
    assert stats["engine"]["step_histogram"][0] == {"adapters_in_step": 1, "steps": 5}


def test_status_without_a_daemon_is_one_sentence(run: Command) -> None:
    outcome = run("status")
    assert (outcome.code, outcome.err) == (1, "error: no daemon is running; `townsfolk serve` starts one\n")


def interrupt_once_it_speaks(town: ScriptedTown) -> threading.Thread:
    """Ctrl-C at the moment when the town has begun a line."""

    def interrupt() -> None:
        assert town.spoke.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")
def test_interrupted_say_cancels_the_line_and_exits_with_130(run: Command) -> None:
    with scripted_town("and so on " * 1000, pause_s=0.01) as town:
        thread = interrupt_once_it_speaks(town)
        outcome = run("say", "old_knight", "hello", "--address", town.address)
        thread.join()
        assert outcome.code == 130
        assert outcome.err.endswith("interrupted\n")
        assert town.cancelled.wait(10)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")
def test_line_cut_short_in_a_talk_is_cancelled_and_the_talk_goes_on() -> None:
    with scripted_town("and so on " * 1000, pause_s=0.01) as town, asyncio.Runner() as runner:
        conversation = Conversation(runner, 60.0)
        conversation._interactive = True
        conversation.connect(town.address)
        conversation.turn_to("old_knight")
        thread = interrupt_once_it_speaks(town)
        conversation._answer("hello")
        thread.join()
        assert town.cancelled.wait(10)
        assert conversation._last.text != ""
        assert list(town.sessions) == ["s0"]
        conversation.leave()
    assert town.sessions == {}
