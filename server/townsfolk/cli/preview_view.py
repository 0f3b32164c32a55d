"""How a comparison looks: a panel for each variant, tokens shaded by their probability, figures underneath."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from townsfolk.cli.demo_view import columns_for, tail_row
from townsfolk.cli.terminal import COLOURS, counted, in_seconds, per_second

if TYPE_CHECKING:
    from townsfolk.v1.common_pb2 import TurnStats
    from townsfolk.v1.preview_pb2 import CompareResponse, TokenCandidate, TokenProbability

CHROME_ROWS = 5  # borders of a panel, the footer, and air
LEAST_BODY_ROWS = 3
# Probabilities below which a token is shaded, and how. Dark on light, to be read on black and on white.
SHADES = ((0.05, "black on #e0736a"), (0.2, "black on #eda75f"), (0.5, "black on #f3dd8d"))
LEAST_PERCENT = 0.005
SURPRISES = 3  # least likely tokens that are listed for each variant


class Voice:
    """One variant: what it has said so far, how likely each piece was, and what it cost."""

    def __init__(self, label: str, index: int) -> None:
        self.label = label
        self.colour = COLOURS[index % len(COLOURS)]
        self.pieces: list[tuple[str, float | None]] = []  # text, and the probability of its token where it is known
        self.tokens: list[TokenProbability] = []
        self.token_count = 0
        self.adapter_digest = ""  # of the adapter that shapes the line; empty without one
        self.finish_reason = 0  # a `FinishReason` of the API
        self.stats: TurnStats | None = None
        self.error = ""

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)

    @property
    def ended(self) -> bool:
        return self.stats is not None or bool(self.error)

    @property
    def perplexity(self) -> float | None:
        """Of the line's tokens, its end included; ``None`` without their probabilities."""
        if not self.tokens:
            return None
        return math.exp(-sum(token.sampled.log_probability for token in self.tokens) / len(self.tokens))

    def take(self, response: CompareResponse) -> None:
        """Take in the variant's next event."""
        self.tokens.extend(response.tokens)
        event = response.event
        match event.WhichOneof("event"):
            case "started":
                self.adapter_digest = event.started.adapter_digest if event.started.adapter_applied else ""
            case "speech_delta":
                self.token_count += event.speech_delta.token_count
                self.pieces += pieces_of(event.speech_delta.text, response.tokens)
            case "finished":
                self.finish_reason, self.stats = event.finished.reason, event.finished.stats
            case "error":
                self.error = event.error.message


def pieces_of(text: str, tokens: Sequence[TokenProbability]) -> list[tuple[str, float | None]]:
    """A delta cut at the borders of its tokens, each piece with the probability of the token that begins it.

    White space of an earlier token may precede the delta, and what was cut off may follow the last token's part in it;
    where text and tokens do not fit together at all, the whole delta has the probability of its least likely token.
    """
    if not tokens:
        return [(text, None)]
    spoken = b"".join(token.sampled.piece for token in tokens)
    bare = text.lstrip()
    start = spoken.find(text.encode())
    lead = 0
    if start < 0:
        start, lead = spoken.find(bare.encode()), len(text) - len(bare)
    if start < 0:
        return [(text, min(probability(token.sampled) for token in tokens))]
    pieces: list[tuple[str, float | None]] = [(text[:lead], None)] if lead else []
    owners = [index for index, token in enumerate(tokens) for _ in token.sampled.piece]
    at, last = start, -1
    for character in text[lead:]:
        owner = owners[at]
        if owner == last:
            pieces[-1] = (pieces[-1][0] + character, pieces[-1][1])
        else:
            pieces.append((character, probability(tokens[owner].sampled)))
        at, last = at + len(character.encode()), owner
    return pieces


def probability(token: TokenCandidate) -> float:
    return math.exp(min(token.log_probability, 0.0))


class LiveComparison:
    """The variants as they are now; rich asks it anew for every frame."""

    def __init__(self, voices: Sequence[Voice], console: Console) -> None:
        self._voices = voices
        self._console = console

    def __rich__(self) -> RenderableType:
        columns = columns_for(len(self._voices), self._console.width)
        rows = -(-len(self._voices) // columns)
        body = (self._console.height - CHROME_ROWS) // rows - 2
        speaking = sum(not voice.ended for voice in self._voices)
        tokens = sum(voice.token_count for voice in self._voices)
        footer = Text(f" {speaking} speaking · {counted(tokens, 'token')}", style="dim")
        if body < LEAST_BODY_ROWS:
            return Group(*(_compact(voice, self._console.width) for voice in self._voices), footer)
        return Group(panels(self._voices, self._console.width, body), footer)


def print_comparison(output: Console, errors: Console, voices: Sequence[Voice], seed: int) -> None:
    """All lines in full: side by side in a terminal, else one below the other."""
    if not output.is_terminal:
        for voice in voices:
            output.print(f"[{voice.label}] {voice.error or voice.text}", markup=False, soft_wrap=True)
        errors.print(_table(voices))
        errors.print(f"seed {seed}")
        return
    output.print(panels(voices, output.width))
    output.print(_table(voices))
    shaded = any(voice.tokens for voice in voices)
    if shaded:
        _print_surprises(output, voices)
        output.print(_legend())
    output.print(f"seed {seed}", style="dim")


def shade(likelihood: float | None) -> str:
    """The style of a token."""
    if likelihood is None:
        return ""
    return next((style for below, style in SHADES if likelihood < below), "")


def panels(voices: Sequence[Voice], width: int, body_rows: int | None = None) -> Table:
    """A panel for each voice, as many side by side as ``width`` columns hold, those of a row equally high.

    None is higher than ``body_rows``; then it shows the end.
    """
    columns = columns_for(len(voices), width)
    grid = Table.grid(padding=(0, 1, 0, 0))
    panel_width = width // columns - 1
    for _ in range(columns):
        grid.add_column(width=panel_width)
    for start in range(0, len(voices), columns):
        row = voices[start : start + columns]
        bodies = [_wrapped(voice, panel_width) for voice in row]
        height = max(len(lines) for lines in bodies)
        height = height if body_rows is None else min(height, body_rows)
        contents = zip(row, bodies, strict=True)
        grid.add_row(*(_panel(voice, lines[-height:], panel_width, height) for voice, lines in contents))
    return grid


def _compact(voice: Voice, width: int) -> Text:
    """One row for one voice, for a terminal too small for panels: the end of what is being said."""
    return tail_row(voice.label, voice.colour, voice.error or voice.text, width)


def _panel(voice: Voice, lines: list[Text], width: int, height: int) -> Panel:
    return Panel(
        Text("\n").join(lines),
        title=Text(f" {voice.label} ", style=f"bold {voice.colour}"),
        title_align="left",
        subtitle=Text(f" {_progress(voice)} ", style="dim"),
        subtitle_align="right",
        border_style="dim" if voice.ended else voice.colour,
        width=width,
        height=height + 2,
        padding=(0, 1),
    )


def _wrapped(voice: Voice, panel_width: int) -> list[Text]:
    content = Text()
    for text, likelihood in voice.pieces:
        content.append(text, style=shade(likelihood))
    if voice.error:
        content.append(f"\n{voice.error}" if voice.pieces else voice.error, style="red")
    elif not voice.pieces:
        content.append("" if voice.ended else "…")
    return list(content.wrap(Console(width=panel_width), panel_width - 4)) or [Text()]


def _progress(voice: Voice) -> str:
    if voice.error:
        return "failed"
    if voice.stats is None:
        return counted(voice.token_count, "token") if voice.token_count else "listening"
    return f"{counted(voice.stats.completion_tokens, 'token')} · {per_second(voice.stats.tokens_per_s)}/s"


def _table(voices: Sequence[Voice]) -> Table:
    """What each variant cost, one row each."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(no_wrap=True)
    for heading in ("tokens", "first token", "tokens/s", "prompt", "of it cached", "lines in a step", "perplexity"):
        table.add_column(heading, justify="right")
    for voice in voices:
        label = Text(voice.label, style=voice.colour)
        table.add_row(label, *(_figures(voice, voice.stats) if voice.stats is not None else ["failed"]))
    return table


def _figures(voice: Voice, stats: TurnStats) -> list[str]:
    return [
        f"{stats.completion_tokens:,}",
        in_seconds(stats.time_to_first_token_s),
        per_second(stats.tokens_per_s),
        f"{stats.prompt_tokens:,}",
        f"{stats.cached_prompt_tokens:,}",
        str(stats.max_batch_rows),
        "–" if voice.perplexity is None else f"{voice.perplexity:.1f}",
    ]


def _print_surprises(output: Console, voices: Sequence[Voice]) -> None:
    """The least likely tokens of each variant, and what would have been likelier."""
    for voice in voices:
        least = sorted(voice.tokens, key=lambda token: token.sampled.log_probability)[:SURPRISES]
        surprises = [_surprise(token) for token in least if shade(probability(token.sampled))]
        if surprises:
            output.print(Text(f"{voice.label}: least likely", style=voice.colour))
            for surprise in surprises:
                output.print(Text(f"  {surprise}", style="dim"))


def _surprise(token: TokenProbability) -> str:
    likelier = [c for c in token.candidates if c.log_probability > token.sampled.log_probability]
    instead = ", ".join(_with_probability(candidate) for candidate in likelier)
    return _with_probability(token.sampled) + (f"; likelier {instead}" if instead else "")


def _with_probability(token: TokenCandidate) -> str:
    likely = probability(token)
    percent = "<1%" if likely < LEAST_PERCENT else f"{likely:.0%}"
    return f"“{token.piece.decode('utf-8', 'replace')}” {percent}".replace("\n", "⏎")


def _legend() -> Text:
    legend = Text("tokens less likely than ", style="dim")
    for below, style in SHADES:
        legend.append(f" {below:.0%} ", style=style)
        legend.append(" ")
    return legend
