"""What happens while a story is made, as plain dataclasses; ``daemon/story_service.py`` makes messages of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from townsfolk.dialogue.events import FinishReason, TurnStats
from townsfolk.errors import TownsfolkError
from townsfolk.story.concept import Concept


class Part(StrEnum):
    """A part of the work; see ``StoryPart`` in the API."""

    CONCEPT = "concept"
    STORY = "story"
    PICTURE_PROMPT = "picture prompt"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class PartStarted:
    """A part began. ``index`` counts pictures and their prompts."""

    part: Part
    index: int = 0
    persona_id: str = ""
    adapter_digest: str = ""


@dataclass(frozen=True, slots=True)
class PartDelta:
    """More of a text."""

    part: Part
    text: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class PartFinished:
    """A part is done. ``reason`` and ``stats`` are those of a text that was written; times in seconds."""

    part: Part
    text: str = ""
    reason: FinishReason | None = None
    stats: TurnStats | None = None
    total_s: float = 0.0
    index: int = 0
    concept: Concept | None = None


@dataclass(frozen=True, slots=True)
class PictureFailed:
    """A picture was not drawn; the story goes on."""

    error: TownsfolkError
    index: int = 0


@dataclass(frozen=True, slots=True)
class PictureProgress:
    """So many denoising steps of a picture are done."""

    step: int
    total_steps: int
    index: int = 0


@dataclass(frozen=True, slots=True)
class PictureDrawn:
    """A picture as PNG, and what it was drawn from."""

    png: bytes
    width: int
    height: int
    seed: int
    steps: int
    prompt: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class StoryFinished:
    """Everything is done. ``texts_s`` are the seconds and ``text_steps`` the decode steps of the second pass."""

    story: str
    has_picture: bool
    total_s: float
    seed: int
    texts_s: float
    text_steps: int


StoryEvent = PartStarted | PartDelta | PartFinished | PictureFailed | PictureProgress | PictureDrawn | StoryFinished
