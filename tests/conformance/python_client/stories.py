"""Stories: asked for, and told part by part."""

from __future__ import annotations

import grpc

from tests.conformance.python_client.events import Fields, report
from townsfolk.v1 import common_pb2, story_pb2

STORY_TIMEOUT_S = 3600.0


def compose_request(fields: Fields) -> story_pb2.ComposeRequest:
    """The story that is asked for."""
    numbers = {name: int(str(fields[name])) for name in ("width", "height") if name in fields}
    pictures = int(str(fields.get("pictures", 0)))
    seed = int(str(fields["picture_seed"])) if "picture_seed" in fields else None
    return story_pb2.ComposeRequest(
        idea=fields.get("idea"),
        narrator_persona_id=fields.get("narrator"),
        picture=story_pb2.PictureParams(count=pictures, seed=seed, **numbers) if pictures else None,
    )


class StoryTeller:
    """Reports a story, each part under a name of its own, a picture once all of its bytes are there."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._picture = story_pb2.Picture()
        self._bytes = b""

    def tell(self, response: story_pb2.ComposeResponse) -> None:
        """Report what happened."""
        kind = response.WhichOneof("event") or ""
        what = getattr(response, kind)
        match kind:
            case "part_started":
                report("started", self._part(what), persona=what.persona_id)
            case "part_delta":
                report("speech_delta", self._part(what), text=what.text)
            case "part_finished":
                reason = common_pb2.FinishReason.Name(what.reason).removeprefix("FINISH_REASON_").lower()
                title = what.concept.title
                report("finished", self._part(what), reason=reason, text=what.text, title=title, last=True)
            case "part_failed":
                status = next(code.name for code in grpc.StatusCode if code.value[0] == what.error.code)
                report("error", self._part(what), status=status, text=what.error.message, last=True)
            case "picture":
                self._picture, self._bytes = what, b""
            case "picture_chunk":
                self._add(what)
            case "finished":
                report("composed", self._label, text=what.story, has_picture=what.has_picture, last=True)

    def _add(self, chunk: story_pb2.PictureChunk) -> None:
        self._bytes += chunk.data
        if len(self._bytes) == self._picture.size_bytes:
            report(
                "picture",
                f"{self._label}/picture/{self._picture.picture_index}",
                media_type=self._picture.media_type,
                width=self._picture.width,
                height=self._picture.height,
                seed=self._picture.seed,
                begins=self._bytes[:8].hex(),
                ends=self._bytes[-8:].hex(),
            )

    def _part(self, what: story_pb2.PartStarted | story_pb2.PartDelta) -> str:
        name = story_pb2.StoryPart.Name(what.part).removeprefix("STORY_PART_").lower()
        return f"{self._label}/{name}/{what.picture_index}"
