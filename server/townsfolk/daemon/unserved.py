"""Services of the API that this version does not serve. They answer UNIMPLEMENTED with a sentence."""

from __future__ import annotations

from typing import Any

import grpc

from townsfolk.errors import Unimplemented
from townsfolk.v1.console_pb2_grpc import ConsoleServiceServicer
from townsfolk.v1.story_pb2_grpc import StoryServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class UnservedConsole(ConsoleServiceServicer):
    """Stands in for the developer console."""

    async def Execute(self, request: Any, context: Context) -> None:
        raise Unimplemented("the console is not part of this version; use the `townsfolk` command")

    async def Complete(self, request: Any, context: Context) -> None:
        raise Unimplemented("the console is not part of this version; use the `townsfolk` command")


class UnservedStory(StoryServiceServicer):
    """Stands in for stories."""

    async def Compose(self, request: Any, context: Context) -> None:
        raise Unimplemented("stories are not part of this version")
