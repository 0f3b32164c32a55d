"""`preview` against a real daemon with a scripted engine: plain, as JSON, in a terminal, and watching."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import Command
from tests.cli.threaded_daemon import ThreadedDaemon
from tests.fakes import Reply, unavailable, write_adapter, write_persona
from townsfolk.cli import preview as preview_command
from townsfolk.cli.preview_variants import make_variants
from townsfolk.cli.preview_view import SHADES, LiveComparison, Voice, _table, pieces_of, print_comparison, shade
from townsfolk.errors import InvalidArgument
from townsfolk.v1 import common_pb2
from townsfolk.v1 import preview_pb2 as pb


@pytest.fixture
def comparing(tmp_path: Path) -> Iterator[ThreadedDaemon]:
    """A smith with an adapter, a monk without."""
    folder = tmp_path / "personas"
    write_adapter(write_persona(folder, "smith"))
    write_adapter(write_persona(folder, "elf"))
    write_persona(folder, "monk")
    with ThreadedDaemon(folder) as town:
        yield town


def test_preview_prints_each_variant_below_the_other_to_a_pipe(run: Command, comparing: ThreadedDaemon) -> None:
    comparing.engine.script.extend([Reply("Hello."), Reply("Grüß dich."), Reply("Aye. 🍺")])
    outcome = run("preview", "smith", "Hello?", "--seed", "7", "--address", comparing.address)
    assert outcome.code == 0, outcome.err
    assert outcome.out == "[base model] Hello.\n[prompt only] Grüß dich.\n[prompt and adapter] Aye. 🍺\n"
    assert "seed 7" in outcome.err
    assert "lines in a step" in outcome.err
    base, prompt, persona = comparing.engine.lines
    assert [line.sampling.seed for line in comparing.engine.lines] == [7, 7, 7]
    assert (base.adapter, prompt.adapter) == (None, None)
    assert persona.adapter is not None
    assert "Hello?" in base.prompt


def test_preview_passes_every_option_on(run: Command, comparing: ThreadedDaemon) -> None:
    words = ("--situation", "dusk", "--system", "You are a troll.", "--temperature", "0", "--max-tokens", "12")
    which = ("--variant", "adapter-only@0.5", "--variant", "persona", "--scale", "1.5", "--scale", "2")
    outcome = run("preview", "smith", "Well?", *words, *which, "--address", comparing.address)
    assert outcome.code == 0, outcome.err
    alone, stronger, strongest = comparing.engine.lines
    assert [line.adapter and line.adapter.scale for line in comparing.engine.lines] == [0.5, 1.5, 2.0]
    assert "troll" not in alone.prompt
    assert "You are a troll." in stronger.prompt
    assert "(dusk) Well?" in strongest.prompt
    assert (stronger.sampling.temperature, stronger.sampling.max_tokens) == (0.0, 12)


def test_variants_without_a_seed_share_one_that_can_be_used_again(run: Command, comparing: ThreadedDaemon) -> None:
    outcome = run("preview", "smith", "Well?", "--address", comparing.address)
    (seed,) = {line.sampling.seed for line in comparing.engine.lines}
    assert f"seed {seed}\n" in outcome.err


def test_a_persona_without_an_adapter_is_compared_by_its_prompt(run: Command, comparing: ThreadedDaemon) -> None:
    outcome = run("preview", "monk", "Well?", "--address", comparing.address)
    assert outcome.code == 0
    assert outcome.out == "[base model] Aye.\n[prompt and adapter] Aye.\n"
    assert "Monk has no adapter here" in outcome.err


def test_preview_json_prints_one_event_a_line_with_its_tokens(run: Command, comparing: ThreadedDaemon) -> None:
    comparing.engine.script.extend([Reply("Aye"), Reply("Nay")])
    outcome = run(
        "preview", "smith", "Well?", "--variant", "base", "--variant", "persona", "--top-tokens", "2", "--json",
        "--address", comparing.address,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    events = [json.loads(line) for line in outcome.out.splitlines()]
    for index, (label, text) in enumerate([("base model", "Aye"), ("prompt and adapter", "Nay")]):
        own = [event for event in events if event["variant_index"] == index]
        assert {event["label"] for event in own} == {label}
        assert [own[0]["event"], own[1]["event"], own[-1]["event"]] == ["started", "speech_delta", "finished"]
        tokens = [token for event in own for token in event.get("tokens", [])]
        assert [token["position"] for token in tokens] == [0, 1, 2, 3]
        assert b"".join(base64.b64decode(t["sampled"]["piece"]) for t in tokens) == f"{text}<|im_end|>".encode()
        assert all(len(token["candidates"]) == 2 for token in tokens)


def test_a_failed_variant_is_told_and_fails_the_command(run: Command, comparing: ThreadedDaemon) -> None:
    comparing.engine.script.extend([Reply(error=unavailable()), Reply("Fine.")])
    outcome = run(
        "preview", "smith", "Well?", "--variant", "base", "--variant", "persona", "--address", comparing.address
    )
    assert outcome.code == 1
    assert "[prompt and adapter] Fine.\n" in outcome.out
    assert outcome.err.endswith("error: 1 variant failed; base model: the engine is gone\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody", "hi"), "there is no persona 'nobody'"),
        (("smith", "hi", "--variant", "wizard"), "is none; write [PERSONA:]KIND[@SCALE]"),
        (("smith", "hi", "--variant", "base@2"), "has no adapter to scale"),
        (("smith", "hi", "--variant", "persona@2.5"), "adapter_scale must be 0 to 2, not 2.5"),
        (("smith", "hi", "--variant", "persona@1.2.3"), "1.2.3 is no number"),
        (("smith", "hi", "--variant", "smith:base"), "without a persona"),
        (("smith", "hi", "--session", "nowhere"), "no session 'nowhere' is open"),
        (("smith", ""), "there is nothing to answer"),
        (("smith", "hi", "--variant", "base", "--watch"), "nothing to watch"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    run: Command, comparing: ThreadedDaemon, arguments: tuple[str, ...], words: str
) -> None:
    outcome = run("preview", *arguments, "--address", comparing.address)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: ")
    assert words in outcome.err


# ── watching ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_watching_speaks_again_when_the_personas_files_change(
    run: Command, comparing: ThreadedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[Callable[[], object]] = [
        lambda: write_persona(comparing.folder, "smith", system="You are a troll."),
        lambda: (comparing.folder / "smith" / "persona.toml").write_text("id = "),
        lambda: write_persona(comparing.folder, "smith", system="You are an ogre."),
        lambda: write_adapter(comparing.folder / "smith", weights=b"trained again"),
    ]
    looks = 0

    async def change_or_leave(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks % 2:  # every other look finds nothing new
            return
        if not changes:
            raise KeyboardInterrupt
        changes.pop(0)()

    monkeypatch.setattr(preview_command, "_pause", change_or_leave)
    outcome = run("preview", "smith", "Well?", "--variant", "persona", "--watch", "--address", comparing.address)
    assert outcome.code == 130
    first, new_prompt, mended, new_adapter = comparing.engine.lines
    assert "You are smith." in first.prompt
    assert "You are a troll." in new_prompt.prompt
    assert "You are an ogre." in mended.prompt
    assert outcome.err.count("is not valid TOML") == 1, "a broken file is told of, and not spoken"
    assert first.adapter == new_prompt.adapter
    assert new_adapter.adapter is not None
    assert first.adapter is not None
    assert new_adapter.adapter.digest != first.adapter.digest
    assert {line.sampling.seed for line in comparing.engine.lines} == {first.sampling.seed}


def test_a_comparison_that_fails_does_not_end_the_watch(
    run: Command, comparing: ThreadedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparing.engine.script.extend([Reply(error=unavailable()), Reply("Fine.")])
    steps: list[Callable[[], object]] = [lambda: write_persona(comparing.folder, "smith", system="You are new.")]

    async def change_or_leave(_: float) -> None:
        if not steps:
            raise KeyboardInterrupt
        steps.pop()()

    monkeypatch.setattr(preview_command, "_pause", change_or_leave)
    outcome = run("preview", "smith", "Well?", "--variant", "persona", "--watch", "--address", comparing.address)
    assert "1 variant failed" in outcome.err
    assert outcome.out.endswith("[prompt and adapter] Fine.\n")


# ── variants ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_variants_of_several_personas_say_whose_they_are() -> None:
    variants = make_variants(["base", "persona", "elf:persona@0.5", "elf:prompt-only"], "smith", [], None)
    assert [v.label for v in variants] == [
        "base model",
        "smith · prompt and adapter",
        "elf · prompt and adapter at 0.5",
        "elf · prompt only",
    ]
    assert [v.persona_id for v in variants] == ["", "smith", "elf", "elf"]
    assert [v.HasField("adapter_scale") for v in variants] == [False, False, True, False]


def test_scales_multiply_the_variants_that_name_none() -> None:
    variants = make_variants(["base", "prompt-only", "persona", "adapter-only@1"], "smith", [0.5, 2.0], "Be brief.")
    assert [(v.label, v.adapter_scale) for v in variants] == [
        ("base model", 0.0),
        ("prompt only", 0.0),
        ("prompt and adapter at 0.5", 0.5),
        ("prompt and adapter at 2", 2.0),
        ("adapter only at 1", 1.0),
    ]
    assert [v.system_prompt for v in variants] == ["", "Be brief.", "Be brief.", "Be brief.", ""]


def test_a_label_is_never_longer_than_the_api_allows() -> None:
    (variant, _) = make_variants([f"{'x' * 64}:persona@0.5", "persona"], "smith", [], None)
    assert len(variant.label) == 64
    assert variant.label.endswith("prompt and adapter at 0.5")
    with pytest.raises(InvalidArgument):
        make_variants([f"{'x' * 65}:persona"], "smith", [], None)


# ── what it looks like ───────────────────────────────────────────────────────────────────────────────────────


def token(piece: bytes, likelihood: float, token_id: int = 5) -> pb.TokenProbability:
    sampled = pb.TokenCandidate(token_id=token_id, piece=piece, log_probability=math.log(likelihood))
    return pb.TokenProbability(sampled=sampled)


@pytest.mark.parametrize(
    ("text", "tokens", "expected"),
    [
        ("Aye then", [token(b"Aye", 0.5), token(b" then", 0.25)], [("Aye", 0.5), (" then", 0.25)]),
        ("Aye", [token(b" ", 0.5), token(b" Aye", 0.25)], [("Aye", 0.25)]),
        (" then", [token(b"then", 0.25)], [(" ", None), ("then", 0.25)]),
        ("on", [token(b"on E", 0.5), token(b"ND", 0.25)], [("on", 0.5)]),
        ("🍺!", [token(b"\xf0\x9f", 0.5), token(b"\x8d\xba!", 0.25)], [("🍺", 0.5), ("!", 0.25)]),
        ("what", [token(b"ever", 0.5), token(b"more", 0.25)], [("what", 0.25)]),
        ("plain", [], [("plain", None)]),
    ],
)
def test_a_delta_is_cut_at_the_borders_of_its_tokens(
    text: str, tokens: list[pb.TokenProbability], expected: list[tuple[str, float | None]]
) -> None:
    found = pieces_of(text, tokens)
    assert [piece for piece, _ in found] == [piece for piece, _ in expected]
    assert [likelihood for _, likelihood in found] == [
        None if likelihood is None else pytest.approx(likelihood) for _, likelihood in expected
    ]


def test_the_unlikelier_a_token_the_stronger_its_shade() -> None:
    assert shade(None) == shade(0.5) == shade(1.0) == ""
    assert [shade(likelihood) for likelihood in (0.049, 0.199, 0.499)] == [style for _, style in SHADES]


def voices_of_a_line() -> list[Voice]:
    voices = [Voice("base model", 0), Voice("prompt and adapter", 1)]
    candidates = [pb.TokenCandidate(token_id=9, piece=b" kind", log_probability=math.log(0.4))]
    gruff = token(b" gruff", 0.02)
    gruff.candidates.extend(candidates)
    delta = common_pb2.SpeechDelta(text="I am gruff", token_count=2)
    stats = common_pb2.TurnStats(completion_tokens=2, tokens_per_s=12.5, max_batch_rows=2)
    for voice in voices:
        event = common_pb2.TurnEvent(speech_delta=delta)
        voice.take(pb.CompareResponse(event=event, tokens=[token(b"I am", 0.9), gruff]))
    finished = common_pb2.TurnEvent(finished=common_pb2.Finished(stats=stats))
    voices[0].take(pb.CompareResponse(event=finished))
    return voices


def terminal(width: int = 100, height: int = 30) -> tuple[Console, io.StringIO]:
    sink = io.StringIO()
    console = Console(
        file=sink, force_terminal=True, color_system="truecolor", width=width, height=height, highlight=False
    )
    return console, sink


def test_a_terminal_shows_variants_side_by_side_and_shades_unlikely_tokens() -> None:
    console, sink = terminal()
    print_comparison(console, console, voices_of_a_line(), 7)
    shown = sink.getvalue()
    (titles,) = (line for line in shown.splitlines() if "base model" in line and "─" in line)
    assert "prompt and adapter" in titles
    assert "48;2;224;115;106m gruff" in shown, "the unlikeliest shade is behind the unlikely token"
    assert "48;2;224;115;106mI am" not in shown
    assert "“ gruff” 2%; likelier “ kind” 40%" in shown
    assert "seed 7" in shown


def test_a_running_comparison_fits_its_terminal() -> None:
    voices = [*voices_of_a_line(), *voices_of_a_line(), *voices_of_a_line(), *voices_of_a_line()]
    for voice in voices:
        voice.pieces = [("many words " * 200, None)]
    console, sink = terminal(80, 24)
    console.print(LiveComparison(voices, console))
    lines = sink.getvalue().splitlines()
    assert len(lines) <= 24
    assert "4 speaking · 16 tokens" in lines[-1]


def test_figures_stand_in_one_row_for_each_variant_even_in_a_narrow_terminal() -> None:
    console, sink = terminal(width=80)
    voices = voices_of_a_line()
    for voice, label in zip(voices, ("base model", "forest_elf · prompt and adapter"), strict=True):
        voice.label, voice.stats = label, common_pb2.TurnStats(completion_tokens=1234, prompt_tokens=567)
    console.print(_table(voices))
    rows = [line for line in sink.getvalue().splitlines() if "1,234" in line]
    assert len(rows) == 2
    assert "forest_elf · prompt and adapter" in rows[1]
