"""Services of the API that this version does not serve. They answer UNIMPLEMENTED with a sentence."""

from __future__ import annotations

from typing import Any

import grpc

from townsfolk.errors import Unimplemented
from townsfolk.v1.preview_pb2_grpc import PreviewServiceServicer
from townsfolk.v1.story_pb2_grpc import StoryServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class UnservedPreview(PreviewServiceServicer):
    """Stands in for previews."""

    async def Compare(self, request: Any, context: Context) -> None:
        raise Unimplemented("previews are not part of this version; ask for lines with Say")


class UnservedStory(StoryServiceServicer):
    """Stands in for stories."""

    async def Compose(self, request: Any, context: Context) -> None:
        raise Unimplemented("stories are not part of this version")
