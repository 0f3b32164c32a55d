"""`townsfolk story`: an idea becomes a short story and its pictures."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from townsfolk.cli.say import AddressOption
from townsfolk.cli.terminal import error_console, output_console
from townsfolk.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from townsfolk.cli.client import Town
    from townsfolk.cli.story_draft import Draft
    from townsfolk.cli.story_folder import Recipe
    from townsfolk.v1.common_pb2 import TurnError
    from townsfolk.v1.story_pb2 import ComposeRequest

FRAMES_PER_S = 8.0  # drawing costs time on the cores that the model needs
STORY_TIMEOUT_S = 900.0  # a picture on a CPU takes minutes
SEED_BITS = 32  # short enough to type again
COMPARED_RUNS = 3  # each way
NO_PAINTER = 9  # gRPC's FAILED_PRECONDITION: nothing to draw with, which was not asked for by name


def story(
    idea: Annotated[str, typer.Argument(help="What the story is to be about.", show_default=False)] = "",
    again: Annotated[
        Path | None,
        typer.Option(
            help="Folder of an earlier story, to make it again; other options change it. Its concept is kept.",
            show_default=False,
        ),
    ] = None,
    wish: Annotated[
        str | None, typer.Option(help="What to change, such as `darker` or `shorter`.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write, which must not exist. Default: stories/ and the idea.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same texts.", min=0, show_default=False)
    ] = None,
    words: Annotated[
        int | None,
        typer.Option(
            help="Rough length of the story. Default: what its writer was trained for.",
            min=50,
            max=1000,
            show_default=False,
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="0 to 4; of all texts.", min=0, max=4, show_default=False)
    ] = None,
    narrator: Annotated[
        str | None, typer.Option(help="Id of the persona that tells it. Default: story_writer.", show_default=False)
    ] = None,
    cast: Annotated[
        list[str] | None, typer.Option(help="Id of a persona that appears in it; repeat it.", show_default=False)
    ] = None,
    base_model: Annotated[
        bool | None,
        typer.Option("--base-model/--adapters", help="Write without adapters, or with them.", show_default=False),
    ] = None,
    pictures: Annotated[
        int | None, typer.Option(help="How many pictures, 0 to 4. Default: 1.", min=0, max=4, show_default=False)
    ] = None,
    width: Annotated[int | None, typer.Option(help="Of a picture in pixels.", show_default=False)] = None,
    height: Annotated[int | None, typer.Option(help="Of a picture in pixels.", show_default=False)] = None,
    style: Annotated[
        str | None, typer.Option(help="Put before each picture's prompt: `ink and watercolour`.", show_default=False)
    ] = None,
    negative: Annotated[str | None, typer.Option(help="What pictures are not to show.", show_default=False)] = None,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps of a picture.", min=1, max=100, show_default=False)
    ] = None,
    picture_seed: Annotated[
        int | None, typer.Option(help="Seed of the first picture.", min=0, show_default=False)
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Measure what writing in the same steps saves against one by one.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds all of it may take.", min=1, max=3600)] = STORY_TIMEOUT_S,
    address: AddressOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one event a line, as JSON.")] = False,
) -> None:
    """Turn an idea into a short story with pictures, and keep all of it in a new folder.

    The base model makes a concept of the idea. Two adapters on it write the story and the picture's prompt in the same
    decode steps. What the daemon has to draw with draws the picture; without it the story comes alone.

    Example: townsfolk story "a lighthouse that remembers"

    Example: townsfolk story --again stories/a-lighthouse-that-remembers --wish darker
    """
    from townsfolk.cli.story_folder import DEFAULT_PLACE, check_new, folder_name, free_folder

    request, before = _first_request(idea, again)
    _change(request, wish=wish, target_words=words, narrator_persona_id=narrator, base_model=base_model)
    if cast is not None:
        request.cast_persona_ids[:] = cast
    _change(request.sampling, seed=seed, temperature=temperature)
    _wish_for_pictures(request, pictures)
    if request.HasField("picture"):
        _change(request.picture, width=width, height=height, style=style, negative_prompt=negative, steps=steps)
        _change(request.picture, seed=picture_seed)
    name = again.resolve().name if again is not None else folder_name(request.idea)
    folder = out or free_folder((again.resolve().parent if again is not None else DEFAULT_PLACE) / name)
    check_new(folder)
    asked_for_pictures = bool(pictures)
    asyncio.run(_story(request, folder, before, address, timeout, asked_for_pictures, compare=compare, as_json=as_json))


def _first_request(idea: str, again: Path | None) -> tuple[ComposeRequest, dict[str, Any]]:
    """The request of a new idea, or that of an earlier story with its recipe; all seeds are chosen."""
    from townsfolk.cli.story_folder import read_recipe
    from townsfolk.story.request import checked_idea
    from townsfolk.v1.story_pb2 import ComposeRequest

    if again is not None:
        if idea:
            raise InvalidArgument("an idea makes a new story; leave it out, or leave out --again")
        return read_recipe(again)
    request = ComposeRequest(idea=checked_idea(idea))
    request.sampling.seed = secrets.randbits(SEED_BITS)
    request.picture.count = 1
    request.picture.seed = secrets.randbits(SEED_BITS)
    return request, {}


def _wish_for_pictures(request: ComposeRequest, pictures: int | None) -> None:
    if pictures == 0:
        request.ClearField("picture")
    elif pictures is not None:
        request.picture.count = pictures
        if not request.picture.HasField("seed"):
            request.picture.seed = secrets.randbits(SEED_BITS)


def _change(message: Any, **values: Any) -> None:
    """Set what is given; ``None`` leaves a field as it is."""
    for name, value in values.items():
        if value is not None:
            try:
                setattr(message, name, value)
            except ValueError as error:
                raise InvalidArgument(f"{name.replace('_', '-')} cannot be {value}", field=name) from error


async def _story(
    request: ComposeRequest,
    folder: Path,
    before: dict[str, Any],
    address: str | None,
    timeout_s: float,
    asked_for_pictures: bool,
    *,
    compare: bool,
    as_json: bool,
) -> None:
    from townsfolk.cli.client import Town
    from townsfolk.cli.launch import find_or_start
    from townsfolk.cli.story_draft import Draft
    from townsfolk.cli.story_folder import Recipe
    from townsfolk.cli.story_view import print_story

    draft = Draft()
    async with Town(await find_or_start(address, error_console())) as town:
        recipe = Recipe(request, (await town.stats()).model)
        try:
            try:
                await _compose(town, request, timeout_s, draft, show=not as_json, as_json=as_json)
            finally:
                if not as_json:
                    print_story(output_console(), draft)
            _print_outcome(draft, recipe, before)
            if compare:
                recipe.comparison = await _measure(town, request, draft, timeout_s)
        except BaseException as error:
            recipe.ended = str(error) or "interrupted"
            raise
        finally:
            _keep(folder, draft, recipe, as_json)
    _raise_failed_picture(draft.failed_pictures, asked_for_pictures)


async def _compose(
    town: Town, request: ComposeRequest, timeout_s: float, draft: Draft, *, show: bool, as_json: bool = False
) -> None:
    """Have a story made, and follow it in the terminal if there is one."""
    from townsfolk.cli.plain import compose_line

    async def listen() -> None:
        async for response in town.compose(request, timeout_s):
            draft.take(response)
            if as_json and not response.HasField("picture_chunk"):  # the folder has the picture
                typer.echo(compose_line(response))

    listening = asyncio.ensure_future(listen())
    try:
        if show and output_console().is_terminal:
            await _show(draft, listening)
        await listening
    finally:
        listening.cancel()
        await asyncio.wait([listening])


async def _show(draft: Draft, listening: asyncio.Future[None]) -> None:
    from rich.live import Live

    from townsfolk.cli.story_view import LiveStory

    console = output_console()
    with Live(LiveStory(draft, console), console=console, auto_refresh=False, transient=True) as live:
        while not listening.done():
            live.refresh()
            await asyncio.wait([listening], timeout=1 / FRAMES_PER_S)


async def _measure(town: Town, request: ComposeRequest, draft: Draft, timeout_s: float) -> dict[str, Any]:
    """Write the second pass several times more, by turns one text after the other and all together; draw nothing.

    Its prompts are in the cache every time, so that the ways differ in their steps alone.
    """
    from townsfolk.cli.story_draft import Draft
    from townsfolk.cli.story_view import Comparison, comparison_in_words

    once_more = type(request)()
    once_more.CopyFrom(request)
    if draft.concept is not None:
        once_more.concept.CopyFrom(draft.concept)
    once_more.picture.prompts_only = True
    together: list[Draft] = []
    in_turn: list[Draft] = []
    with error_console().status("Writing it again, in turn and together …", spinner="dots"):
        for _ in range(COMPARED_RUNS):
            for runs in (in_turn, together):
                once_more.in_turn = runs is in_turn
                runs.append(Draft())
                await _compose(town, once_more, timeout_s, runs[-1], show=False)
    comparison = Comparison(together, in_turn)
    error_console().print(comparison_in_words(comparison), style="bold", markup=False)
    return {
        "runs": COMPARED_RUNS,
        "together_s": comparison.together_s,
        "together_steps": comparison.together_steps,
        "in_turn_s": comparison.in_turn_s,
        "in_turn_steps": comparison.in_turn_steps,
        "same_texts": comparison.same_texts,
    }


def _print_outcome(draft: Draft, recipe: Recipe, before: dict[str, Any]) -> None:
    from townsfolk.cli.story_view import print_figures

    errors = error_console()
    print_figures(errors, draft)
    seeds = f"seed {recipe.request.sampling.seed}"
    if draft.finished_pictures:
        seeds += f", pictures from seed {recipe.request.picture.seed}"
    errors.print(seeds, style="dim", markup=False)
    for difference in _differences(draft, recipe, before):
        errors.print(difference, style="yellow", markup=False)


def _differences(draft: Draft, recipe: Recipe, before: dict[str, Any]) -> list[str]:
    """What is not as it was when the recipe was written, so that the texts cannot be the same."""
    if not before:
        return []
    found = []
    model = before.get("model", {})
    if (model.get("name"), model.get("dtype")) != (recipe.model.name, recipe.model.dtype):
        found.append(
            f"made with {model.get('name')} in {model.get('dtype')} before, and now with {recipe.model.name} in "
            f"{recipe.model.dtype}: the texts differ"
        )
    digests = {text.get("persona_id"): text.get("adapter_digest") for text in before.get("texts", [])}
    for text in draft.texts:
        was = digests.get(text.persona_id)
        if was is not None and was != text.adapter_digest:
            found.append(f"the adapter of {text.persona_id} is not the one of before: the texts differ")
    return list(dict.fromkeys(found))


def _keep(folder: Path, draft: Draft, recipe: Recipe, as_json: bool) -> None:
    """Write the folder, whole or as far as it came."""
    import json

    from townsfolk.cli.story_folder import write_story

    written = write_story(folder, draft, recipe)
    if as_json:
        typer.echo(json.dumps({"event": "folder", "path": str(written) if written else ""}, ensure_ascii=False))
    elif written is not None:
        what = "kept what was finished in" if recipe.ended else "written to"
        error_console().print(f"{what} {written}", markup=False)


def _raise_failed_picture(failed: Sequence[TurnError], asked_for_pictures: bool) -> None:
    """A picture that failed is an error; that there is nothing to draw with is one only if pictures were asked for."""
    for error in failed:
        if error.code == NO_PAINTER and not asked_for_pictures:
            error_console().print(error.message, style="yellow", markup=False)
            return
        raise FailedPrecondition(f"a picture failed: {error.message}")
