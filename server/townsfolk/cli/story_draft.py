"""A story as far as a client has received it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from townsfolk.errors import InternalError

if TYPE_CHECKING:
    from townsfolk.v1 import story_pb2 as pb
    from townsfolk.v1.common_pb2 import TurnError, TurnStats


@dataclass
class DraftText:
    """A text that is being written. `stats` are there once it is whole, where it was written at all."""

    persona_id: str = ""
    adapter_digest: str = ""
    text: str = ""
    stats: TurnStats | None = None
    finished: bool = False

    @property
    def steps(self) -> range:
        """Numbers of the decode steps that it took part in."""
        if self.stats is None or not self.stats.first_step:
            return range(0)
        return range(self.stats.first_step, self.stats.last_step + 1)


@dataclass
class DraftPicture:
    """A picture that is being drawn."""

    step: int = 0
    total_steps: int = 0
    facts: pb.Picture | None = None
    png: bytearray = field(default_factory=bytearray)
    finished: bool = False
    error: TurnError | None = None
    total_s: float = 0.0


class Draft:
    """Takes in the events of a story."""

    def __init__(self) -> None:
        self.concept_text = DraftText()
        self.concept: pb.Concept | None = None
        self.story = DraftText()
        self.prompts: dict[int, DraftText] = {}
        self.pictures: dict[int, DraftPicture] = {}
        self.end: pb.ComposeFinished | None = None

    @property
    def texts(self) -> list[DraftText]:
        """Those of the second pass."""
        return [self.story, *(self.prompts[index] for index in sorted(self.prompts))]

    @property
    def finished_pictures(self) -> dict[int, DraftPicture]:
        return {index: picture for index, picture in sorted(self.pictures.items()) if picture.finished}

    @property
    def failed_pictures(self) -> list[TurnError]:
        return [picture.error for picture in self.pictures.values() if picture.error is not None]

    def take(self, response: pb.ComposeResponse) -> None:
        """Take in the next event. Raises ``InternalError`` for a picture whose bytes did not all arrive."""
        match response.WhichOneof("event"):
            case "part_started":
                self._begin(response.part_started)
            case "part_delta":
                delta = response.part_delta
                if (text := self._text(delta.part, delta.picture_index)) is not None:
                    text.text += delta.text
            case "part_finished":
                self._finish(response.part_finished)
            case "part_failed":
                self._picture(response.part_failed.picture_index).error = response.part_failed.error
            case "picture_progress":
                progress = response.picture_progress
                picture = self._picture(progress.picture_index)
                picture.step, picture.total_steps = progress.step, progress.total_steps
            case "picture":
                self._picture(response.picture.picture_index).facts = response.picture
            case "picture_chunk":
                self._picture(response.picture_chunk.picture_index).png += response.picture_chunk.data
            case "finished":
                self.end = response.finished

    def _begin(self, started: pb.PartStarted) -> None:
        text = self._text(started.part, started.picture_index)
        if text is None:
            self._picture(started.picture_index)
        else:
            text.persona_id, text.adapter_digest = started.persona_id, started.adapter_digest

    def _finish(self, finished: pb.PartFinished) -> None:
        text = self._text(finished.part, finished.picture_index)
        if text is None:
            self._finish_picture(finished)
            return
        text.text, text.finished = finished.text, True
        text.stats = finished.stats if finished.HasField("stats") else None
        if finished.HasField("concept"):
            self.concept = finished.concept

    def _finish_picture(self, finished: pb.PartFinished) -> None:
        picture = self._picture(finished.picture_index)
        expected = picture.facts.sha256 if picture.facts else ""
        if hashlib.sha256(picture.png).hexdigest() != expected:
            raise InternalError("a picture arrived damaged; ask for it again with the same seed")
        picture.finished, picture.total_s = True, finished.total_s

    def _text(self, part: int, index: int) -> DraftText | None:
        """The text of a part; ``None`` for a picture."""
        from townsfolk.v1 import story_pb2 as pb

        if part == pb.STORY_PART_CONCEPT:
            return self.concept_text
        if part == pb.STORY_PART_STORY:
            return self.story
        if part == pb.STORY_PART_PICTURE_PROMPT:
            return self.prompts.setdefault(index, DraftText())
        return None

    def _picture(self, index: int) -> DraftPicture:
        return self.pictures.setdefault(index, DraftPicture())


@dataclass(frozen=True)
class Sharing:
    """Decode steps of the second pass: those it took, and those its texts would take one after the other."""

    steps: int
    steps_in_turn: int

    @property
    def shared(self) -> int:
        return self.steps_in_turn - self.steps


def sharing_of(draft: Draft) -> Sharing:
    """How the texts of the second pass shared their steps."""
    ranges = [text.steps for text in draft.texts]
    return Sharing(len({number for steps in ranges for number in steps}), sum(map(len, ranges)))
