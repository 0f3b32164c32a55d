"""What is asked for in a story, checked before anything of it is made."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from townsfolk.dialogue.comparison import NO_OVERRIDES
from townsfolk.dialogue.request import MAX_SEED, SamplingOverrides, merged_sampling
from townsfolk.errors import InvalidArgument
from townsfolk.personas.schema import Sampling
from townsfolk.pictures.painter import MAX_PROMPT_CHARACTERS, MAX_SIDE, MAX_STEPS, MIN_SIDE, SIDE_MULTIPLE
from townsfolk.story.concept import Concept, checked_concept, one_line

MAX_IDEA_CHARACTERS = 2000
MAX_WISH_CHARACTERS = 120
MAX_CAST = 8
MIN_WORDS, MAX_WORDS = 50, 1000
MAX_PICTURES = 4
MAX_STYLE_CHARACTERS = 200
MAX_DEADLINE_S = 3600.0
SEED_BITS = 32  # short enough to type again, and what every picture model takes


@dataclass(frozen=True, slots=True)
class PictureWish:
    """How the pictures are to be. Sizes in pixels; ``None`` and an empty string leave the choice to the painter."""

    width: int = 512
    height: int = 512
    style: str = ""
    steps: int | None = None
    seed: int | None = None
    negative_prompt: str = ""
    count: int = 1
    prompts_only: bool = False


@dataclass(frozen=True, slots=True)
class StoryRequest:
    """A story to be written; see ``ComposeRequest`` in the API. Empty and zero values were not given."""

    idea: str = ""
    narrator_id: str = ""
    cast_ids: tuple[str, ...] = ()
    target_words: int = 0
    sampling: SamplingOverrides = NO_OVERRIDES
    picture: PictureWish | None = None
    deadline_s: float = 0.0
    concept: Concept | None = None
    wish: str = ""
    base_model: bool = False
    in_turn: bool = False

    @property
    def prompts(self) -> int:
        """How many picture prompts are to be written."""
        return self.picture.count if self.picture else 1


def checked_request(request: StoryRequest) -> StoryRequest:
    """The request with its words on one line each and every seed chosen.

    Raises ``InvalidArgument`` that names the field; whether a persona exists or a prompt fits shows later.
    """
    if not 0 <= request.deadline_s <= MAX_DEADLINE_S:  # also false for NaN
        raise InvalidArgument(
            f"deadline_s must be above 0 and at most {MAX_DEADLINE_S:g}, not {request.deadline_s:g}", field="deadline_s"
        )
    if len(request.cast_ids) > MAX_CAST:
        raise InvalidArgument(
            f"{len(request.cast_ids)} personas are in the cast; at most {MAX_CAST} are allowed",
            field="cast_persona_ids",
        )
    if request.target_words:
        _require(MIN_WORDS <= request.target_words <= MAX_WORDS, "target_words", f"{MIN_WORDS} to {MAX_WORDS}")
    if request.sampling.stop:
        raise InvalidArgument("a story has no stop strings; leave sampling.stop empty", field="sampling.stop")
    merged_sampling(Sampling(), request.sampling)  # type: ignore[call-arg]
    seed = secrets.randbits(SEED_BITS) if request.sampling.seed is None else request.sampling.seed
    return replace(
        request,
        idea=checked_idea(request.idea, may_be_empty=request.concept is not None),
        wish=_bounded(one_line(request.wish), "wish", MAX_WISH_CHARACTERS),
        concept=checked_concept(request.concept) if request.concept else None,
        sampling=replace(request.sampling, seed=seed),
        picture=_checked_picture(request.picture) if request.picture else None,
    )


def checked_idea(idea: str, *, may_be_empty: bool = False) -> str:
    """The idea on one line. Raises ``InvalidArgument`` for none at all and for one that is too long."""
    _bounded(idea, "idea", MAX_IDEA_CHARACTERS)
    line = one_line(idea)
    if not line and not may_be_empty:
        raise InvalidArgument("the idea is empty; say in a few words what the story is to be about", field="idea")
    return line


def _checked_picture(picture: PictureWish) -> PictureWish:
    for name in ("width", "height"):
        side = getattr(picture, name)
        fits = MIN_SIDE <= side <= MAX_SIDE and side % SIDE_MULTIPLE == 0
        _require(fits, f"picture.{name}", f"a multiple of {SIDE_MULTIPLE} from {MIN_SIDE} to {MAX_SIDE}")
    _require(1 <= picture.count <= MAX_PICTURES, "picture.count", f"1 to {MAX_PICTURES}")
    if picture.steps is not None:
        _require(1 <= picture.steps <= MAX_STEPS, "picture.steps", f"1 to {MAX_STEPS}")
    seed = secrets.randbits(SEED_BITS) if picture.seed is None else picture.seed
    _require(0 <= seed <= MAX_SEED, "picture.seed", "an unsigned 64-bit number")
    negative = _bounded(one_line(picture.negative_prompt), "picture.negative_prompt", MAX_PROMPT_CHARACTERS)
    style = _bounded(one_line(picture.style), "picture.style", MAX_STYLE_CHARACTERS)
    return replace(picture, style=style, negative_prompt=negative, seed=seed)


def _bounded(words: str, field: str, most: int) -> str:
    if len(words) > most:
        raise InvalidArgument(f"{field} has {len(words):,} characters; at most {most:,} are allowed", field=field)
    return words


def _require(holds: bool, field: str, allowed: str) -> None:
    if not holds:
        raise InvalidArgument(f"{field} must be {allowed}", field=field)
