"""Types lines into the console of a town and reads what it prints."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc

from tests.daemon.conftest import PATIENCE_S, Town
from townsfolk.v1 import console_pb2 as pb

STYLES = {
    pb.CONSOLE_STYLE_PLAIN: "plain",
    pb.CONSOLE_STYLE_HEADING: "heading",
    pb.CONSOLE_STYLE_SPEECH: "speech",
    pb.CONSOLE_STYLE_DETAIL: "detail",
    pb.CONSOLE_STYLE_WARNING: "warning",
    pb.CONSOLE_STYLE_ERROR: "error",
}


@dataclass
class Printed:
    """What a line printed, and the status it ended with."""

    pieces: list[pb.ExecuteResponse] = field(default_factory=list)
    code: grpc.StatusCode = grpc.StatusCode.OK
    sentence: str = ""

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    def of(self, style: str) -> str:
        """All that was printed in one style."""
        return "".join(piece.text for piece in self.pieces if STYLES[piece.style] == style)


async def run(town: Town, line: str, **fields: Any) -> Printed:
    """Run a line to its end."""
    printed = Printed()
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for piece in town.console.Execute(pb.ExecuteRequest(line=line, **fields)):
                printed.pieces.append(piece)
    except grpc.aio.AioRpcError as error:
        printed.code, printed.sentence = error.code(), error.details() or ""
    return printed


async def offered(town: Town, line: str, cursor: int | None = None, session_id: str = "") -> pb.CompleteResponse:
    """What the Tab key offers. A `|` in the line is the cursor, where none is given."""
    if cursor is None and "|" in line:
        cursor = line.index("|")
        line = line.replace("|", "", 1)
    request = pb.CompleteRequest(line=line, cursor=cursor, session_id=session_id)
    answer: pb.CompleteResponse = await town.console.Complete(request, timeout=PATIENCE_S)
    return answer


async def words(town: Town, line: str, **fields: Any) -> list[str]:
    """The texts of what is offered."""
    return [completion.text for completion in (await offered(town, line, **fields)).completions]
