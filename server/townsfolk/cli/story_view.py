"""How a story looks while it is made, and the figures under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from townsfolk.cli.demo_view import columns_for
from townsfolk.cli.story_draft import Draft, DraftPicture, DraftText, Sharing, sharing_of
from townsfolk.cli.terminal import COLOURS, MAX_WIDTH, counted, in_seconds, per_second

BAR_WIDTH = 32
CONCEPT_ROWS = 6  # its four lines and its border
LEAST_BODY_ROWS = 3
FIELDS = ("title", "hero", "conflict", "place")
CONCEPT_COLOUR, STORY_COLOUR, *PROMPT_COLOURS = COLOURS


@dataclass(frozen=True)
class Comparison:
    """The second pass with all texts together and with one after the other, several times each, with warm caches."""

    together: Sequence[Draft]
    in_turn: Sequence[Draft]

    @property
    def together_s(self) -> float:
        """Median of the runs."""
        return median(draft.end.texts_s for draft in self.together if draft.end)

    @property
    def in_turn_s(self) -> float:
        """Median of the runs."""
        return median(draft.end.texts_s for draft in self.in_turn if draft.end)

    @property
    def together_steps(self) -> int:
        return sharing_of(self.together[-1]).steps

    @property
    def in_turn_steps(self) -> int:
        return sharing_of(self.in_turn[-1]).steps

    @property
    def same_texts(self) -> bool:
        return len({tuple(text.text for text in draft.texts) for draft in (*self.together, *self.in_turn)}) == 1


class LiveStory:
    """The story as it is now; rich asks it anew for every frame."""

    def __init__(self, draft: Draft, console: Console) -> None:
        self._draft = draft
        self._console = console

    def __rich__(self) -> RenderableType:
        width = self._console.width
        panels = len(self._draft.texts)
        rows = -(-panels // columns_for(panels, width))
        room = self._console.height - CONCEPT_ROWS - len(self._draft.pictures) - 2
        parts: list[RenderableType] = [_concept_panel(self._draft, width)]
        if self._draft.concept is not None:
            parts.append(_texts(self._draft, width, max(LEAST_BODY_ROWS, room // rows - 2)))
        parts += [_picture_line(index, picture) for index, picture in sorted(self._draft.pictures.items())]
        return Group(*parts)


def print_story(output: Console, draft: Draft) -> None:
    """What came of it, in full: as panels in a terminal, else one part below the other."""
    if not output.is_terminal:
        for label, words in _plain_parts(draft):
            output.print(f"[{label}] {words}", markup=False, soft_wrap=True)
        return
    output.print(_concept_panel(draft, output.width))
    if any(text.text for text in draft.texts):
        output.print(_texts(draft, output.width, None))
    for index, picture in sorted(draft.pictures.items()):
        output.print(_picture_line(index, picture))


def print_figures(console: Console, draft: Draft) -> None:
    """What each text cost, and how many steps they shared."""
    console.print(_table(draft))
    sharing = sharing_of(draft)
    if draft.story.finished and sharing.steps:
        console.print(sharing_in_words(sharing), style="dim", markup=False)


def sharing_in_words(sharing: Sharing) -> str:
    """How the second pass went."""
    if not sharing.shared:
        return f"story and picture prompts took {counted(sharing.steps, 'step')}, none of them shared"
    return (
        f"story and picture prompts shared {sharing.shared:,} of {counted(sharing.steps_in_turn, 'step')}, so "
        f"{sharing.steps:,} were enough"
    )


def comparison_in_words(comparison: Comparison) -> str:
    """What sharing steps saved, as measured."""
    together, in_turn = comparison.together_s, comparison.in_turn_s
    saved = f"{1 - together / in_turn:.0%} of the time saved" if 0 < together < in_turn else "no time saved"
    same = "the same texts" if comparison.same_texts else "not always the same texts"
    return (
        f"measured: together {in_seconds(together)} in {counted(comparison.together_steps, 'step')}, "
        f"in turn {in_seconds(in_turn)} in {counted(comparison.in_turn_steps, 'step')}, {saved} "
        f"(medians of {len(comparison.together)} runs each); {same}"
    )


def concept_in_words(draft: Draft) -> str:
    """`The Cold Bakery: Oskar; the oven must be lit; a village`, or what there is of its JSON so far."""
    if draft.concept is None:
        return draft.concept_text.text
    return f"{draft.concept.title}: {draft.concept.hero}; {draft.concept.conflict}; {draft.concept.place}"


def _plain_parts(draft: Draft) -> list[tuple[str, str]]:
    parts = [("concept", concept_in_words(draft)), ("story", draft.story.text)]
    parts += [(_prompt_label(draft, index), draft.prompts[index].text) for index in sorted(draft.prompts)]
    return [(label, words) for label, words in parts if words]


def _concept_panel(draft: Draft, width: int) -> Panel:
    body = Text(draft.concept_text.text or "…", style="dim")
    if draft.concept is not None:
        body = Text("\n").join(
            Text.assemble((f"{name.capitalize():<10}", "dim"), getattr(draft.concept, name)) for name in FIELDS
        )
    return _panel("Concept", body, draft.concept_text, CONCEPT_COLOUR, min(width, MAX_WIDTH))


def _texts(draft: Draft, width: int, body_rows: int | None) -> Table:
    """Story and prompts side by side; none higher than ``body_rows``, which then shows the end."""
    width = min(width, MAX_WIDTH)
    labelled = [("Story", draft.story, STORY_COLOUR)]
    for index in sorted(draft.prompts):
        colour = PROMPT_COLOURS[index % len(PROMPT_COLOURS)]
        labelled.append((_prompt_label(draft, index).capitalize(), draft.prompts[index], colour))
    columns = columns_for(len(labelled), width)
    panel_width = width // columns - 1
    grid = Table.grid(padding=(0, 1, 0, 0))
    for _ in range(columns):
        grid.add_column(width=panel_width)
    for start in range(0, len(labelled), columns):
        row = labelled[start : start + columns]
        bodies = [list(Text(t.text or "…").wrap(Console(width=panel_width), panel_width - 4)) for _, t, _ in row]
        height = max(map(len, bodies))
        height = height if body_rows is None else min(height, body_rows)
        grid.add_row(
            *(
                _panel(label, Text("\n").join(lines[-height:]), text, colour, panel_width, height + 2)
                for (label, text, colour), lines in zip(row, bodies, strict=True)
            )
        )
    return grid


def _panel(label: str, body: Text, text: DraftText, colour: str, width: int, height: int | None = None) -> Panel:
    return Panel(
        body,
        title=Text(f" {label} ", style=f"bold {colour}"),
        title_align="left",
        subtitle=Text(f" {_progress(text)} ", style="dim"),
        subtitle_align="right",
        border_style="dim" if text.finished else colour,
        width=width,
        height=height,
        padding=(0, 1),
    )


def _progress(text: DraftText) -> str:
    if text.stats is not None:
        return f"{counted(text.stats.completion_tokens, 'token')} · {per_second(text.stats.tokens_per_s)}/s"
    if text.finished:
        return "as before"
    return "writing" if text.text else "thinking"


def _picture_line(index: int, picture: DraftPicture) -> RenderableType:
    label = f"Picture {index + 1}"
    if picture.error is not None:
        return Text(f"{label}  {picture.error.message}", style="red")
    if picture.facts is not None:
        facts = picture.facts
        size = f"{facts.width}×{facts.height}, seed {facts.seed}, {counted(facts.steps, 'step')}"
        return Text(f"{label}  {size}" + (f" in {in_seconds(picture.total_s)}" if picture.total_s else ""))
    grid = Table.grid(padding=(0, 2, 0, 0))
    bar = ProgressBar(total=picture.total_steps or None, completed=picture.step, width=BAR_WIDTH)
    state = f"{picture.step}/{picture.total_steps}" if picture.total_steps else "waiting for the painter"
    grid.add_row(Text(label), bar, Text(state, style="dim"))
    return grid


def _prompt_label(draft: Draft, index: int) -> str:
    return "picture prompt" if len(draft.prompts) == 1 else f"picture prompt {index + 1}"


def _table(draft: Draft) -> Table:
    """What each text cost, one row each."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(no_wrap=True)
    for heading in (
        "tokens",
        "first token",
        "tokens/s",
        "prompt",
        "of it cached",
        "adapters in a step",
        "steps with other adapters",
    ):
        table.add_column(heading, justify="right")
    rows = [("concept", draft.concept_text), ("story", draft.story)]
    rows += [(_prompt_label(draft, index), draft.prompts[index]) for index in sorted(draft.prompts)]
    for label, text in rows:
        stats = text.stats
        if stats is not None:
            table.add_row(
                label,
                f"{stats.completion_tokens:,}",
                in_seconds(stats.time_to_first_token_s),
                per_second(stats.tokens_per_s),
                f"{stats.prompt_tokens:,}",
                f"{stats.cached_prompt_tokens:,}",
                str(stats.max_batch_adapters),
                f"{stats.shared_steps:,}",
            )
    return table
