"""What everything that paints has in common: the order, the picture, and the painter between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from townsfolk.errors import InvalidArgument

MIN_SIDE, MAX_SIDE, SIDE_MULTIPLE = 64, 2048, 8  # pixels; the VAE halves a side three times
MAX_STEPS = 100
MAX_PROMPT_CHARACTERS = 4000
MAX_SEED = (1 << 64) - 1

# (step, steps): denoising steps done, and in all
OnStep = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PictureOrder:
    """What to paint. Sides in pixels; ``steps``: denoising steps, ``None`` for what suits the model.

    Raises ``InvalidArgument`` with the field at fault.
    """

    prompt: str
    width: int
    height: int
    steps: int | None
    seed: int
    negative_prompt: str = ""

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise InvalidArgument("the picture's prompt is empty; say what is to be seen", field="prompt")
        for field, text in (("prompt", self.prompt), ("negative_prompt", self.negative_prompt)):
            if len(text) > MAX_PROMPT_CHARACTERS:
                raise InvalidArgument(
                    f"the picture's {field} has {len(text):,} characters, over the {MAX_PROMPT_CHARACTERS:,} allowed",
                    field=field,
                )
        for field, side in (("width", self.width), ("height", self.height)):
            if not MIN_SIDE <= side <= MAX_SIDE or side % SIDE_MULTIPLE:
                raise InvalidArgument(
                    f"the picture's {field} is {side}; it must be {MIN_SIDE} to {MAX_SIDE} "
                    f"and a multiple of {SIDE_MULTIPLE}",
                    field=field,
                )
        if self.steps is not None and not 1 <= self.steps <= MAX_STEPS:
            raise InvalidArgument(f"a picture takes 1 to {MAX_STEPS} steps, not {self.steps}", field="steps")
        if not 0 <= self.seed <= MAX_SEED:
            raise InvalidArgument(f"a picture's seed is 0 to {MAX_SEED}, not {self.seed}", field="seed")


@dataclass(frozen=True, slots=True)
class PaintedPicture:
    """A PNG file's bytes, with what they were painted from written into them; sides in pixels."""

    png: bytes
    width: int
    height: int
    seed: int
    steps: int


class Painter(Protocol):
    """Paints one order at a time; further ones wait, up to a bound."""

    async def start(self) -> None:
        """Find out whether painting can work. ``paint`` may be tried even when this raised.

        Raises:
            FailedPrecondition: a package, a model or a device is missing; the message says what to do.
            Unavailable: the server does not answer.
        """
        ...

    async def stop(self) -> None:
        """Free the model and the connections. Safe to call twice."""
        ...

    async def paint(self, order: PictureOrder, on_step: OnStep) -> PaintedPicture:
        """Paint; ``on_step`` is called in the event loop. Cancelling the call ends the work between two steps.

        Raises:
            FailedPrecondition: as ``start``.
            ResourceExhausted: out of memory, or too many orders wait.
            DeadlineExceeded: it took longer than ``pictures.timeout_s``.
            Unavailable: the process or the server went away.
        """
        ...


def in_style(style: str, prompt: str) -> str:
    """The prompt with a style such as ``ink and watercolour`` in front of it, as image models are used to."""
    return f"{style.strip().rstrip(',')}, {prompt}" if style.strip() else prompt
