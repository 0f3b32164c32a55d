"""`voices` against a real daemon with a scripted engine: to a pipe, in a terminal, as a report, and measured."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import Command
from tests.cli.threaded_daemon import ThreadedDaemon
from tests.fakes import Reply, unavailable, write_adapter, write_persona
from townsfolk.cli import voices as voices_command
from townsfolk.cli.preview_view import LiveComparison, Voice
from townsfolk.cli.voices_report import Part, Report
from townsfolk.cli.voices_view import figures, print_part
from townsfolk.v1 import common_pb2
from townsfolk.v1 import preview_pb2 as pb

ANSWERS = ("Aye, rope.", "Grüß dich, Seil! 🪢")


@pytest.fixture
def personas(tmp_path: Path) -> Path:
    """A smith and an elf with adapters, a monk without."""
    folder = tmp_path / "personas"
    write_adapter(write_persona(folder, "smith"))
    write_adapter(write_persona(folder, "elf"), weights=b"of the elf")
    write_persona(folder, "monk")
    return folder


@pytest.fixture
def daemon(personas: Path) -> Iterator[ThreadedDaemon]:
    with ThreadedDaemon(personas) as daemon:
        yield daemon


@pytest.fixture
def small_daemon(personas: Path) -> Iterator[ThreadedDaemon]:
    """One whose context holds prompts of some 900 bytes."""
    with ThreadedDaemon(personas, max_context=1000) as daemon:
        yield daemon


def answer(daemon: ThreadedDaemon, *texts: str) -> None:
    daemon.engine.script.extend(Reply(text) for text in texts)


def test_one_text_goes_to_every_adapter_with_one_seed(run: Command, daemon: ThreadedDaemon) -> None:
    answer(daemon, *ANSWERS, "Hello.")
    outcome = run(
        "voices", "Do you sell rope?", "--adapters", "smith, elf@0.5,base", "--seed", "7", "--temperature", "0",
        "--max-tokens", "40", "--address", daemon.address,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"[smith] {ANSWERS[0]}\n[elf@0.5] {ANSWERS[1]}\n[base] Hello.\n"
    lines = daemon.engine.lines
    assert [line.adapter and line.adapter.scale for line in lines] == [1.0, 0.5, None]
    assert all("Do you sell rope?" in line.prompt for line in lines)
    assert {(line.sampling.seed, line.sampling.temperature, line.sampling.max_tokens) for line in lines} == {(7, 0, 40)}
    assert "served two or more voices" in outcome.err
    assert "7" in outcome.err


def test_all_voices_are_in_the_batch_at_once(run: Command, daemon: ThreadedDaemon, tmp_path: Path) -> None:
    """Neither voice can end before both have begun, or the command would hang."""
    hold = asyncio.Event()
    daemon.engine.script.extend([Reply("Aye.", hold=hold, hold_after=1), Reply("Nay.", hold=hold, hold_after=1)])

    async def release_when_both_run() -> None:
        await daemon.engine.line(1)
        hold.set()

    released = daemon.submit(release_when_both_run())
    report = tmp_path / "report.json"
    outcome = run("voices", "Well?", "-a", "smith,elf", "-o", str(report), "--address", daemon.address)
    assert outcome.code == 0, outcome.err
    released.result(5)
    voices = json.loads(report.read_text("utf-8"))["parts"][0]["voices"]
    assert [voice["stats"]["max_batch_adapters"] for voice in voices] == [2, 2]


def test_one_system_prompt_can_stand_in_for_all(run: Command, daemon: ThreadedDaemon) -> None:
    outcome = run("voices", "Well?", "-a", "smith,elf,base", "--system", "Be brief.", "--address", daemon.address)
    assert outcome.code == 0, outcome.err
    smith, elf, base = daemon.engine.lines
    assert "Be brief." in smith.prompt
    assert "Be brief." in elf.prompt
    assert "You are" not in smith.prompt + elf.prompt + base.prompt


def test_a_persona_without_an_adapter_is_told_of(run: Command, daemon: ThreadedDaemon) -> None:
    outcome = run("voices", "Well?", "--adapters", "monk", "--address", daemon.address)
    assert outcome.code == 0
    assert "Monk has no adapter here and speaks by its prompt alone" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("hi", "-a", "nobody"), "there is no persona 'nobody'"),
        (("hi", "-a", " , "), "--adapters names none"),
        (("hi", "-a", "./my_adapter"), "is no id of a persona"),
        (("hi", "-a", "C:\\loras\\elf"), "is no id of a persona"),
        (("hi", "-a", "base@2"), "the base model has no adapter to scale"),
        (("hi", "-a", "smith@3"), "adapter_scale must be 0 to 2, not 3"),
        (("hi", "-a", "smith@1.2.3"), "1.2.3 is no number"),
        (("missing.md", "-a", "smith"), "there is no file missing.md"),
        ((" ", "-a", "smith"), "the text is empty"),
        (("hi", "-a", "smith", "-o", "report.pdf"), "end it in .md, .json or .csv"),
        (("hi", "-a", "smith", "-o", "nowhere/report.md"), "there is no folder nowhere"),
        (("hi", "-a", ",".join(f"smith@{n / 100}" for n in range(33))), "1 to 32 variants, not 33"),
    ],
)
def test_what_cannot_be_spoken_is_one_sentence(
    run: Command, daemon: ThreadedDaemon, arguments: tuple[str, ...], words: str
) -> None:
    outcome = run("voices", *arguments, "--address", daemon.address)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: ")
    assert words in outcome.err
    assert daemon.engine.lines == []


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_long_document_is_read_in_parts(run: Command, daemon: ThreadedDaemon, tmp_path: Path) -> None:
    document = tmp_path / "Bericht.md"
    paragraphs = [f"Absatz {n}: " + "schön " * 40 for n in range(3)]
    document.write_text("\n\n".join(paragraphs), "utf-8")
    outcome = run("voices", str(document), "-a", "smith,elf", "--part-characters", "300", "--address", daemon.address)
    assert outcome.code == 0, outcome.err
    assert "Bericht.md has 754 characters and is read in 3 parts" in outcome.err
    assert outcome.out.splitlines()[-1] == "[part 3 of 3 · elf] Aye."
    for number, line in enumerate(daemon.engine.lines):
        assert f"Absatz {number // 2}:" in line.prompt
        assert line.prompt.count("Absatz") == 1


def test_a_part_that_the_context_cannot_hold_is_read_in_smaller_ones(
    run: Command, small_daemon: ThreadedDaemon, tmp_path: Path
) -> None:
    document = tmp_path / "long.txt"
    document.write_text("Ein Satz mit Umlauten: äöü. " * 60, "utf-8")
    report = tmp_path / "report.json"
    outcome = run("voices", str(document), "-a", "smith", "-o", str(report), "--address", small_daemon.address)
    assert outcome.code == 0, outcome.err
    assert "does not fit the context and is read in smaller ones" in outcome.err
    parts = json.loads(report.read_text("utf-8"))["parts"]
    assert len(parts) > 1
    assert "".join(" ".join(part["text"] for part in parts).split()) == "".join(document.read_text("utf-8").split())


def test_a_prompt_that_fills_the_context_alone_is_an_error(run: Command, small_daemon: ThreadedDaemon) -> None:
    outcome = run("voices", "Well?", "-a", "smith", "--system", "x" * 990, "--address", small_daemon.address)
    assert (outcome.code, outcome.out) == (1, "")
    assert "the line is too long" in outcome.err


# ── reports ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_json_has_every_word_and_figure(run: Command, daemon: ThreadedDaemon) -> None:
    answer(daemon, *ANSWERS)
    outcome = run("voices", "Rope?", "-a", "smith,base", "--seed", "3", "--format", "json", "--address", daemon.address)
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert (report["source"], report["model"], report["seed"], report["measured"]) == ("", "tiny", 3, None)
    (part,) = report["parts"]
    smith, base = part["voices"]
    assert part["text"] == "Rope?"
    assert [smith["text"], base["text"]] == list(ANSWERS)
    assert (smith["persona_id"], base["persona_id"]) == ("smith", "")
    assert len(smith["adapter_digest"]) == 64
    assert base["adapter_digest"] == ""
    assert smith["finish_reason"] == "stop"
    assert smith["stats"]["completion_tokens"] == len(ANSWERS[0])
    assert report["tokens"] == len(ANSWERS[0]) + len(ANSWERS[1].encode())
    assert 0 < report["steps"]["shared"] <= report["steps"]["together"] < report["steps"]["in_turn"]


def test_csv_opens_in_a_spreadsheet_and_holds_no_formula(run: Command, daemon: ThreadedDaemon, tmp_path: Path) -> None:
    answer(daemon, '=HYPERLINK("http://x")', 'Grüße,\n"zwei" Zeilen')
    path = tmp_path / "out.csv"
    outcome = run("voices", "Rope?", "-a", "smith,elf", "--out", str(path), "--address", daemon.address)
    assert outcome.code == 0, outcome.err
    assert path.read_bytes().startswith(b"\xef\xbb\xbf"), "spreadsheets know UTF-8 by its mark"
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    assert [row["text"] for row in rows] == ['\'=HYPERLINK("http://x")', 'Grüße,\n"zwei" Zeilen']
    assert [(row["part"], row["voice"], row["finish_reason"]) for row in rows] == [
        ("1", "smith", "stop"),
        ("1", "elf", "stop"),
    ]
    assert int(rows[0]["tokens"]) > 0


def test_markdown_keeps_what_was_said_apart_from_its_own_headings(
    run: Command, daemon: ThreadedDaemon, tmp_path: Path
) -> None:
    answer(daemon, "# Big words\n\nSmall ones.", "Grüß dich.")
    path = tmp_path / "out.md"
    outcome = run("voices", "Rope?", "-a", "smith,elf", "-o", str(path), "--address", daemon.address)
    assert outcome.code == 0, outcome.err
    text = path.read_text("utf-8")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["# Voices: one text", "## smith", "## elf", "## Figures"]
    assert "> # Big words\n>\n> Small ones.\n" in text
    assert "> Rope?\n" in text
    assert "- Decoding: " in text


def test_a_report_that_exists_is_replaced_only_by_force(run: Command, daemon: ThreadedDaemon, tmp_path: Path) -> None:
    path = tmp_path / "out.md"
    path.write_text("mine", "utf-8")
    words = ("voices", "Rope?", "-a", "smith", "-o", str(path), "--address", daemon.address)
    outcome = run(*words)
    assert outcome.code == 1
    assert "--force" in outcome.err
    assert (path.read_text("utf-8"), daemon.engine.lines) == ("mine", [])
    assert run(*words, "--force").code == 0
    assert "Aye." in path.read_text("utf-8")
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".out")] == []


def test_a_voice_that_fails_leaves_the_others_and_fails_the_command(
    run: Command, daemon: ThreadedDaemon, tmp_path: Path
) -> None:
    daemon.engine.script.extend([Reply("Half", error=unavailable(), fail_after=2), Reply("Whole.")])
    path = tmp_path / "out.json"
    outcome = run("voices", "Rope?", "-a", "smith,elf", "-o", str(path), "--address", daemon.address)
    assert outcome.code == 1
    assert outcome.err.endswith("error: 1 voice failed; smith: the engine is gone\n")
    smith, elf = json.loads(path.read_text("utf-8"))["parts"][0]["voices"]
    assert (smith["error"], smith["stats"]) == ("the engine is gone", None)
    assert (elf["text"], elf["error"]) == ("Whole.", "")


def test_parts_that_are_finished_are_kept_when_the_rest_never_comes(
    run: Command, daemon: ThreadedDaemon, tmp_path: Path
) -> None:
    async def die_in_the_second_part() -> None:
        await daemon.engine.line(1)
        daemon.engine.die()

    daemon.engine.script.extend([Reply("First."), Reply("Sec", hold=asyncio.Event(), hold_after=3)])
    daemon.submit(die_in_the_second_part())
    document, path = tmp_path / "long.txt", tmp_path / "out.json"
    document.write_text("word " * 130, "utf-8")
    outcome = run(
        "voices", str(document), "-a", "smith", "--part-characters", "250", "-o", str(path), "--address", daemon.address
    )
    assert outcome.code == 1
    assert "error: the engine is loading or being started again" in outcome.err
    first, second, third = (part["voices"][0] for part in json.loads(path.read_text("utf-8"))["parts"])
    assert (first["text"], first["error"]) == ("First.", "")
    assert second["error"] == "the engine stopped unexpectedly"
    assert (third["text"], third["error"][:13]) == ("", "the engine is")


def test_a_text_that_was_cut_is_told_of(run: Command, daemon: ThreadedDaemon, tmp_path: Path) -> None:
    late = Reply("Aye, rope.", hold=asyncio.Event(), hold_after=4)
    daemon.engine.script.extend([Reply("Rope and", reason="length"), late])
    path = tmp_path / "out.md"
    outcome = run("voices", "x", "-a", "smith,elf", "--timeout", "1", "-o", str(path), "--address", daemon.address)
    assert outcome.code == 0, outcome.err
    words = "smith at its longest (--max-tokens), elf by the time (--timeout)"
    assert words in " ".join(outcome.err.split())
    assert f"- Cut short: {words}\n" in path.read_text("utf-8")


# ── what one batch saved ─────────────────────────────────────────────────────────────────────────────────────


def test_comparing_measures_one_after_another_and_together(
    run: Command, daemon: ThreadedDaemon, tmp_path: Path
) -> None:
    answer(daemon, *ANSWERS, *ANSWERS, ANSWERS[0], "Something else.")
    path = tmp_path / "out.json"
    words = ("voices", "Rope?", "-a", "smith,elf", "--compare", "-o", str(path), "--address", daemon.address)
    outcome = run(*words)
    assert outcome.code == 0, outcome.err
    measured = json.loads(path.read_text("utf-8"))["measured"]
    assert measured["one_after_another_s"] > 0
    assert measured["together_s"] > 0
    assert measured["differing"] == ["elf"]
    assert "one after another" in outcome.err
    assert len(daemon.engine.lines) == 6
    assert len({line.sampling.seed for line in daemon.engine.lines}) == 1
    spoken = json.loads(path.read_text("utf-8"))["parts"][0]["voices"]
    assert [voice["text"] for voice in spoken] == list(ANSWERS)


def test_a_measurement_that_fails_keeps_what_was_said(run: Command, daemon: ThreadedDaemon, tmp_path: Path) -> None:
    daemon.engine.script.extend([Reply("Aye."), Reply(error=unavailable())])
    path = tmp_path / "out.md"
    outcome = run("voices", "Rope?", "-a", "smith", "--compare", "-o", str(path), "--address", daemon.address)
    assert outcome.code == 1
    assert "nothing was measured: smith: the engine is gone" in outcome.err
    assert "> Aye." in path.read_text("utf-8")


# ── what it looks like ───────────────────────────────────────────────────────────────────────────────────────


def spoken(label: str, index: int, text: str) -> Voice:
    voice = Voice(label, index)
    delta = common_pb2.SpeechDelta(text=text, token_count=4)
    stats = common_pb2.TurnStats(completion_tokens=4, tokens_per_s=20, first_step=1, last_step=4, shared_steps=4)
    voice.take(pb.CompareResponse(event=common_pb2.TurnEvent(speech_delta=delta)))
    voice.take(pb.CompareResponse(event=common_pb2.TurnEvent(finished=common_pb2.Finished(stats=stats))))
    return voice


def terminal(width: int, height: int = 24) -> tuple[Console, io.StringIO]:
    sink = io.StringIO()
    return Console(file=sink, force_terminal=True, color_system=None, width=width, height=height), sink


@pytest.mark.parametrize(("width", "abreast"), [(120, 3), (80, 2), (40, 1)])
def test_voices_stand_side_by_side_as_far_as_the_terminal_is_wide(width: int, abreast: int) -> None:
    voices = [spoken(f"voice_{n}", n, "Es war einmal ein Seil. " * 8) for n in range(3)]
    console, sink = terminal(width)
    print_part(console, Part("Seil?", voices), 1, 2)
    console.print(figures(Report("", "tiny", 1, ["a", "b", "c"], [Part("Seil?", voices)])))
    lines = sink.getvalue().splitlines()
    assert lines[0].startswith("part 1 of 2")
    assert max(map(len, lines)) <= width
    assert sum("voice_" in line for line in lines if "─" in line) == -(-3 // abreast)


def test_a_small_terminal_shows_a_row_for_each_running_voice() -> None:
    voices = [Voice(f"voice_{n}", n) for n in range(12)]
    for voice in voices:
        voice.pieces = [("viele Wörter " * 50, None)]
    console, sink = terminal(30, 16)
    console.print(LiveComparison(voices, console))
    lines = sink.getvalue().splitlines()
    assert len(lines) == 13
    assert max(map(len, lines)) <= 30
    assert all("…" in line for line in lines[:12])


def test_ctrl_c_frees_the_voices_and_keeps_the_report(
    run: Command, daemon: ThreadedDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = asyncio.Event()
    daemon.engine.script.extend([Reply("Aye, rope", hold=never, hold_after=9)])
    path = tmp_path / "out.json"
    told = threading.Event()
    take = Voice.take

    def take_and_leave(voice: Voice, response: pb.CompareResponse) -> None:
        take(voice, response)
        if voice.text == "Aye, rope" and not told.is_set():
            told.set()
            raise KeyboardInterrupt

    monkeypatch.setattr(Voice, "take", take_and_leave)
    outcome = run("voices", "Rope?", "-a", "smith", "-o", str(path), "--address", daemon.address)
    assert outcome.code == 130
    voice = json.loads(path.read_text("utf-8"))["parts"][0]["voices"][0]
    assert (voice["text"], voice["error"]) == ("Aye, rope", "interrupted")
    daemon.submit(asyncio.wait_for(daemon.engine.lines[0].ended.wait(), 5)).result(6)
    assert daemon.engine.lines[0].cancelled


def test_the_longest_part_is_what_the_daemon_takes(run: Command, daemon: ThreadedDaemon) -> None:
    words = ("voices", "x", "-a", "smith", "--address", daemon.address)
    limit = str(voices_command.PART_CHARACTERS)
    assert run(*words, "--part-characters", limit).code == 0
    assert run(*words, "--part-characters", str(voices_command.PART_CHARACTERS + 1)).code == 2
