"""`story` against a real daemon with a scripted engine and painter: its folder, its views, and what goes wrong."""

from __future__ import annotations

import asyncio
import hashlib
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.cli.conftest import REPOSITORY, Command
from tests.fake_painter import ScriptedPainter
from tests.fakes import Reply, ScriptedEngine, unavailable, write_adapter, write_persona
from townsfolk.cli.story_draft import Draft, sharing_of
from townsfolk.cli.story_folder import folder_name, read_recipe
from townsfolk.cli.story_view import LiveStory, print_story
from townsfolk.config import Settings
from townsfolk.daemon.server import Daemon
from townsfolk.errors import InvalidArgument, NotFound, ResourceExhausted
from townsfolk.v1 import story_pb2 as pb

CONCEPT = {
    "title": "Das alte Licht",
    "hero": "Ines, die letzte Wärterin",
    "conflict": "the lamp shows ships that sank long ago",
    "place": "a rock off a northern coast",
}
STORY = "Ines lit the lamp. The ships came home. 🚢"
PROMPT = "a lighthouse at night, [ghost] ships, oil painting"


class Town:
    """A daemon that runs in a thread of its own."""

    def __init__(self, folder: Path, painter: ScriptedPainter | None = None) -> None:
        self.folder, self.painter = folder, painter
        self.engine = ScriptedEngine()
        self.address = ""
        self._up, self.loop = threading.Event(), asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: self.loop.run_until_complete(self._live()))

    def script(self, *prompts: str, times: int = 1, concept: bool = True) -> None:
        """What the engine says: a concept once, then stories and prompts."""
        if concept:
            self.engine.script.append(Reply(json.dumps(CONCEPT, ensure_ascii=False)))
        for _ in range(times):
            self.engine.script.append(Reply(STORY))
            self.engine.script.extend(Reply(prompt) for prompt in prompts or (PROMPT,))

    async def _live(self) -> None:
        settings = {"daemon": {"address": "127.0.0.1:0", "drain_grace_s": 0}, "personas": {"folders": [self.folder]}}
        self._stop = asyncio.Event()
        daemon = Daemon(Settings.model_validate(settings), self.engine, self.painter)
        await daemon.start()
        self.address = daemon.address
        self._up.set()
        await self._stop.wait()
        await daemon.stop()

    def __enter__(self) -> Town:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stop is not None
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def personas(tmp_path: Path) -> Path:
    folder = tmp_path / "personas"
    for persona_id in ("story_writer", "picture_prompter"):
        write_adapter(write_persona(folder, persona_id, kind="task"), weights=persona_id.encode())
    write_adapter(write_persona(folder, "smith"), weights=b"smith")
    return folder


@pytest.fixture
def town(personas: Path) -> Iterator[Town]:
    """A town with a painter."""
    with Town(personas, ScriptedPainter()) as town:
        yield town


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "Bücher" / "licht"


def recipe_of(folder: Path) -> dict[str, Any]:
    recipe: dict[str, Any] = json.loads((folder / "recipe.json").read_text("utf-8"))
    return recipe


# ── the folder ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_story_is_kept_with_all_that_belongs_to_it(run: Command, town: Town, out: Path) -> None:
    town.script()
    outcome = run(
        "story", "a lighthouse", "--seed", "7", "--picture-seed", "9", "--out", str(out), "--address", town.address
    )
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in out.iterdir()) == [
        "concept.json", "picture-1.png", "prompts.txt", "recipe.json", "story.md",
    ]  # fmt: skip
    assert json.loads((out / "concept.json").read_text("utf-8")) == CONCEPT
    assert (out / "prompts.txt").read_text("utf-8") == f"{PROMPT}\n"
    story = (out / "story.md").read_text("utf-8")
    assert story.startswith("# Das alte Licht\n")
    assert f"\n\n{STORY}\n" in story
    assert r"![a lighthouse at night, \[ghost\] ships, oil painting](picture-1.png)" in story
    png = (out / "picture-1.png").read_bytes()
    recipe = recipe_of(out)
    assert recipe["complete"]
    assert recipe["model"]["name"] == "tiny"
    assert [text["persona_id"] for text in recipe["texts"]] == ["", "story_writer", "picture_prompter"]
    assert all(len(text["adapter_digest"]) == 64 for text in recipe["texts"][1:])
    (picture,) = recipe["pictures"]
    assert picture["sha256"] == hashlib.sha256(png).hexdigest()
    assert (picture["seed"], picture["prompt"], picture["file"]) == (9, PROMPT, "picture-1.png")
    assert list(out.parent.iterdir()) == [out], "something half-written was left"
    assert f"written to {out}" in outcome.err


def test_to_a_pipe_each_part_is_printed_below_the_other(run: Command, town: Town, out: Path) -> None:
    town.script()
    outcome = run("story", "a lighthouse", "--out", str(out), "--address", town.address)
    assert outcome.out.splitlines() == [
        "[concept] Das alte Licht: Ines, die letzte Wärterin; the lamp shows ships that sank long ago; "
        "a rock off a northern coast",
        f"[story] {STORY}",
        f"[picture prompt] {PROMPT}",
    ]
    assert "story and picture prompts shared" in outcome.err
    assert "seed " in outcome.err


def test_the_default_folder_is_named_after_the_idea_and_never_an_old_one(
    run: Command, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        town.script()
        outcome = run("story", "Ein Leuchtturm, der träumt!", "--pictures", "0", "--address", town.address)
        assert outcome.code == 0, outcome.err
    names = sorted(path.name for path in (tmp_path / "stories").iterdir())
    assert names == ["ein-leuchtturm-der-träumt", "ein-leuchtturm-der-träumt-2"]


def test_a_story_is_made_again_from_its_folder(run: Command, town: Town, out: Path) -> None:
    town.script("one", "two")
    options = ("--pictures", "2", "--width", "64", "--height", "128", "--style", "ink", "--negative", "people")
    more = ("--steps", "3", "--words", "100", "--temperature", "0.5", "--narrator", "smith", "--cast", "smith")
    first = run("story", "a lighthouse", *options, *more, "--out", str(out), "--address", town.address)
    assert first.code == 0, first.err
    before = list(town.engine.lines)
    town.script("one", "two", concept=False)
    second = run("story", "--again", str(out), "--address", town.address)
    assert second.code == 0, second.err
    again = out.with_name("licht-2")
    after = town.engine.lines[len(before) :]
    assert len(after) == 3, "the concept was thought of again"
    for was, now in zip(before[1:], after, strict=True):
        assert (was.prompt, was.sampling, was.adapter) == (now.prompt, now.sampling, now.adapter)
    assert town.painter is not None
    assert town.painter.orders[:2] == town.painter.orders[2:]
    for name in ("story.md", "concept.json", "prompts.txt", "picture-1.png", "picture-2.png"):
        assert (again / name).read_bytes() == (out / name).read_bytes()
    assert recipe_of(again)["request"] == recipe_of(out)["request"]
    assert "differ" not in second.err


def test_a_wish_and_another_seed_change_a_story_made_again_but_not_its_concept(
    run: Command, town: Town, out: Path
) -> None:
    town.script()
    run("story", "a lighthouse", "--seed", "1", "--out", str(out), "--address", town.address)
    town.script(concept=False)
    outcome = run("story", "--again", str(out), "--wish", "darker", "--seed", "2", "--address", town.address)
    assert outcome.code == 0, outcome.err
    story, prompt = town.engine.lines[3:]
    assert "Title: Das alte Licht" in story.prompt
    assert "Wish: darker" in story.prompt
    assert "Wish: darker" in prompt.prompt
    assert story.sampling.seed == 2
    assert recipe_of(out.with_name("licht-2"))["request"]["wish"] == "darker"


def test_another_adapter_than_before_is_told_of(run: Command, town: Town, out: Path, personas: Path) -> None:
    town.script()
    run("story", "a lighthouse", "--out", str(out), "--address", town.address)
    write_adapter(personas / "story_writer", weights=b"trained again")
    town.script(concept=False)
    outcome = run("story", "--again", str(out), "--address", town.address)
    assert "the adapter of story_writer is not the one of before" in outcome.err


def test_compare_measures_both_ways_and_keeps_the_figures(run: Command, town: Town, out: Path) -> None:
    town.script("one", "two")
    town.script("one", "two", times=6, concept=False)
    outcome = run("story", "a lighthouse", "--pictures", "2", "--compare", "--out", str(out), "--address", town.address)
    assert outcome.code == 0, outcome.err
    assert "measured: together" in outcome.err
    assert "the same texts" in outcome.err
    comparison = recipe_of(out)["comparison"]
    assert comparison["same_texts"]
    assert comparison["in_turn_s"] > 0
    assert comparison["together_s"] > 0
    assert comparison["runs"] == 3
    assert comparison["together_steps"] <= comparison["in_turn_steps"]
    assert [line.prompt for line in town.engine.lines[4:]] == [line.prompt for line in town.engine.lines[1:4]] * 6
    assert town.painter is not None
    assert len(town.painter.orders) == 2, "pictures were drawn for the comparison"


def test_json_prints_one_event_a_line_and_the_folder_last(run: Command, town: Town, out: Path) -> None:
    town.script()
    outcome = run("story", "a lighthouse", "--json", "--out", str(out), "--address", town.address)
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert events[0]["event"] == "part_started"
    assert events[-2]["event"] == "finished"
    assert events[-2]["finished"]["has_picture"]
    assert events[-1] == {"event": "folder", "path": str(out)}
    texts = [
        e["part_delta"]["text"] for e in events if e["event"] == "part_delta" and e["part_delta"]["part"] == "story"
    ]
    assert "".join(texts) == STORY


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "the idea is empty"),
        (("  ",), "the idea is empty"),
        (("x" * 100_000,), "idea has 100,000 characters; at most 2,000 are allowed"),
    ],
)
def test_an_idea_out_of_bounds_is_one_sentence_before_any_daemon_is_asked(
    run: Command, words: tuple[str, ...], sentence: str
) -> None:
    outcome = run("story", *words, "--address", "127.0.0.1:1")
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: {sentence}")
    assert outcome.err.count("\n") == 1


def test_an_existing_folder_is_left_as_it_is(run: Command, town: Town, out: Path) -> None:
    out.mkdir(parents=True)
    outcome = run("story", "a lighthouse", "--out", str(out), "--address", town.address)
    assert outcome.code == 1
    assert "exists already" in outcome.err
    assert not town.engine.lines
    assert not list(out.iterdir())


def test_a_place_that_cannot_be_written_is_told_of_first(run: Command, town: Town, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    outcome = run("story", "a lighthouse", "--out", str(tmp_path / "file" / "story"), "--address", town.address)
    assert outcome.code == 1
    assert "no folder that you may write into" in outcome.err
    assert not town.engine.lines


def test_without_a_painter_the_story_is_kept_and_says_so(run: Command, personas: Path, out: Path) -> None:
    with Town(personas) as town:
        town.script()
        outcome = run("story", "a lighthouse", "--out", str(out), "--address", town.address)
        assert outcome.code == 0, outcome.err
        assert "the story comes without pictures" in outcome.err
        assert STORY in (out / "story.md").read_text("utf-8")
        assert "![" not in (out / "story.md").read_text("utf-8")
        town.script()
        asked = run("story", "a ship", "--pictures", "1", "--out", f"{out}-2", "--address", town.address)
        assert asked.code == 1
        assert (Path(f"{out}-2") / "story.md").exists()


def test_a_card_out_of_memory_keeps_the_story_and_the_other_picture(run: Command, town: Town, out: Path) -> None:
    assert town.painter is not None
    town.painter.errors = [None, ResourceExhausted("the card is out of memory; ask for a smaller picture")]
    town.script("one", "two")
    outcome = run("story", "a lighthouse", "--pictures", "2", "--out", str(out), "--address", town.address)
    assert outcome.code == 1
    assert "error: a picture failed: the card is out of memory" in outcome.err
    assert (out / "story.md").exists()
    assert (out / "picture-1.png").exists()
    assert not (out / "picture-2.png").exists()
    assert recipe_of(out)["pictures_failed"] == ["the card is out of memory; ask for a smaller picture"]


def test_a_failed_text_keeps_the_concept_to_go_on_from(run: Command, town: Town, out: Path) -> None:
    town.script()
    town.engine.script[1].error, town.engine.script[1].fail_after = unavailable(), 4
    outcome = run("story", "a lighthouse", "--out", str(out), "--address", town.address)
    assert outcome.code == 1
    assert "the story failed: the engine is gone" in outcome.err
    assert f"kept what was finished in {out}" in outcome.err
    assert not (out / "story.md").exists()
    recipe = recipe_of(out)
    assert not recipe["complete"]
    assert "the engine is gone" in recipe["ended"]
    town.script(concept=False)
    again = run("story", "--again", str(out), "--address", town.address)
    assert again.code == 0, again.err
    assert (out.with_name("licht-2") / "story.md").exists()


def test_nothing_is_written_where_nothing_was_finished(run: Command, town: Town, out: Path) -> None:
    town.engine.script.append(Reply('{"title": ', reason="length"))
    outcome = run("story", "a lighthouse", "--out", str(out), "--address", town.address)
    assert outcome.code == 1
    assert "no usable concept" in outcome.err
    assert not out.parent.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_stops_the_drawing_and_keeps_the_story(personas: Path, out: Path) -> None:
    painter = ScriptedPainter(hold=asyncio.Event())
    with Town(personas, painter) as town:
        town.script()
        command = [sys.executable, "-m", "townsfolk.cli", "story", "a lighthouse", "--json", "--out", str(out)]
        child = subprocess.Popen(
            [*command, "--address", town.address], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=REPOSITORY, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert child.stdout is not None
        texts = (line for line in child.stdout if json.loads(line)["event"] == "part_finished")
        assert [json.loads(line)["part_finished"] for line in itertools.islice(texts, 3)]  # concept, story and prompt
        asyncio.run_coroutine_threadsafe(painter.holding.wait(), town.loop).result(30)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
        asyncio.run_coroutine_threadsafe(painter.cancelled.wait(), town.loop).result(10)
    assert child.returncode == 130
    assert "Traceback" not in err
    assert STORY in (out / "story.md").read_text("utf-8")
    assert sorted(path.name for path in out.iterdir()) == ["concept.json", "prompts.txt", "recipe.json", "story.md"]
    assert recipe_of(out)["ended"] == "interrupted"


def test_an_idea_and_an_old_story_exclude_each_other(run: Command, tmp_path: Path) -> None:
    outcome = run("story", "a lighthouse", "--again", str(tmp_path))
    assert outcome.code == 1
    assert "leave out --again" in outcome.err


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 1, "request": {"idea": 3}}', '{"format": 99}'])
def test_what_is_no_recipe_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "recipe.json").write_text(content, "utf-8")
    with pytest.raises(InvalidArgument):
        read_recipe(tmp_path)


def test_a_folder_without_a_recipe_is_no_story(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"holds no recipe\.json"):
        read_recipe(tmp_path)


# ── names and views ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("A lighthouse that remembers!", "a-lighthouse-that-remembers"),
        ("../../etc/passwd", "etc-passwd"),
        ("灯台の記憶", "灯台の記憶"),
        ("A smith's day off", "a-smiths-day-off"),
        ("CON", "story-con"),
        ("?!", "story-"),
        ("x" * 300, "x" * 60),
    ],
)
def test_a_folders_name_suits_every_file_system(words: str, name: str) -> None:
    assert folder_name(words) == name


def test_the_live_view_shows_story_and_prompt_side_by_side_and_a_bar() -> None:
    draft = Draft()
    console = Console(file=io.StringIO(), width=100, height=30, force_terminal=True, color_system=None)
    draft.take(_response(part_started=pb.PartStarted(part=pb.STORY_PART_CONCEPT)))
    draft.take(_response(part_delta=pb.PartDelta(part=pb.STORY_PART_CONCEPT, text='{"title": "Das')))
    console.print(LiveStory(draft, console))
    assert '{"title": "Das' in _shown(console)
    draft.take(_response(part_finished=pb.PartFinished(part=pb.STORY_PART_CONCEPT, concept=pb.Concept(**CONCEPT))))
    draft.take(_response(part_started=pb.PartStarted(part=pb.STORY_PART_STORY)))
    draft.take(_response(part_started=pb.PartStarted(part=pb.STORY_PART_PICTURE_PROMPT)))
    draft.take(_response(part_delta=pb.PartDelta(part=pb.STORY_PART_STORY, text="word " * 300 + "the end")))
    draft.take(_response(part_delta=pb.PartDelta(part=pb.STORY_PART_PICTURE_PROMPT, text="oil painting")))
    draft.take(_response(picture_progress=pb.PictureProgress(step=3, total_steps=8)))
    console.print(LiveStory(draft, console))
    shown = _shown(console)
    assert "Ines, die letzte Wärterin" in shown
    assert any("Story" in line and "Picture prompt" in line for line in shown.splitlines()), "not side by side"
    assert "the end" in shown
    assert "3/8" in shown
    assert len(shown.splitlines()) <= 30
    draft.take(_response(part_failed=pb.PartFailed(part=pb.STORY_PART_PICTURE, error={"message": "out of memory"})))
    print_story(console, draft)
    assert "out of memory" in _shown(console)


def test_shared_steps_are_counted_once() -> None:
    draft = Draft()
    for part, first, last in ((pb.STORY_PART_STORY, 10, 19), (pb.STORY_PART_PICTURE_PROMPT, 12, 15)):
        finished = pb.PartFinished(part=part, text="x", stats={"first_step": first, "last_step": last})
        draft.take(_response(part_finished=finished))
    sharing = sharing_of(draft)
    assert (sharing.steps, sharing.steps_in_turn, sharing.shared) == (10, 14, 4)


def test_a_picture_that_arrives_damaged_is_not_kept() -> None:
    draft = Draft()
    draft.take(_response(picture=pb.Picture(sha256="0" * 64)))
    draft.take(_response(picture_chunk=pb.PictureChunk(data=b"half")))
    with pytest.raises(Exception, match="damaged"):
        draft.take(_response(part_finished=pb.PartFinished(part=pb.STORY_PART_PICTURE)))
    assert not draft.finished_pictures


def _response(**event: Any) -> pb.ComposeResponse:
    return pb.ComposeResponse(**event)


def _shown(console: Console) -> str:
    """What was printed since the last time."""
    file = console.file
    assert isinstance(file, io.StringIO)
    shown = file.getvalue()
    file.seek(0)
    file.truncate()
    return shown
