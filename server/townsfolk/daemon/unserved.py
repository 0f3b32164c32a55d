"""Services of the API that this version does not serve. They answer UNIMPLEMENTED with a sentence."""

from __future__ import annotations

from typing import Any

import grpc

from townsfolk.errors import Unimplemented
from townsfolk.v1.story_pb2_grpc import StoryServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class UnservedStory(StoryServiceServicer):
    """Stands in for stories."""

    async def Compose(self, request: Any, context: Context) -> None:
        raise Unimplemented("stories are not part of this version")
