"""``ConsoleService``: runs command lines and completes them."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from townsfolk.daemon.console.arguments import read_arguments
from townsfolk.daemon.console.call import Call, ConsoleTown
from townsfolk.daemon.console.command import Arguments, find
from townsfolk.daemon.console.completion import complete
from townsfolk.daemon.console.output import Output, cleaned
from townsfolk.daemon.console.vocabulary import VOCABULARY
from townsfolk.daemon.console.words import BadLine, split
from townsfolk.daemon.errors_to_status import as_townsfolk_error
from townsfolk.errors import InvalidArgument, TownsfolkError
from townsfolk.v1.console_pb2 import CompleteRequest, CompleteResponse, Completion, ExecuteRequest
from townsfolk.v1.console_pb2_grpc import ConsoleServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

MAX_LINE_CHARACTERS = 4000
MIN_COLUMNS, MAX_COLUMNS, DEFAULT_COLUMNS = 20, 1000, 80


class ConsoleService(ConsoleServiceServicer):
    """The console of one daemon."""

    def __init__(self, town: ConsoleTown) -> None:
        self._town = town

    async def Execute(self, request: ExecuteRequest, context: Context) -> None:
        """See the API. What goes wrong is printed before the call ends with its status."""
        _check_line(request.line)
        columns = request.columns or DEFAULT_COLUMNS
        if not MIN_COLUMNS <= columns <= MAX_COLUMNS:
            raise InvalidArgument(f"columns is {MIN_COLUMNS} to {MAX_COLUMNS}, not {columns}", field="columns")
        output = Output(context.write, columns)
        spans: dict[str, tuple[int, int]] = {}
        try:
            await self._run(request, output, spans, context)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            known = as_townsfolk_error(error)
            known.message = cleaned(known.message)
            await output.error(known.message, request.line, _span(known, spans))
            if known is error:
                raise
            raise known from error

    async def Complete(self, request: CompleteRequest, context: Context) -> CompleteResponse:
        """See the API."""
        _check_line(request.line)
        cursor = request.cursor if request.HasField("cursor") else len(request.line)
        if cursor > len(request.line):
            raise InvalidArgument(
                f"the cursor stands at {cursor}, behind the line's {len(request.line)} characters", field="cursor"
            )
        found = await complete(VOCABULARY, self._town, request.line, cursor, request.session_id)
        return CompleteResponse(
            completions=[Completion(text=s.text, description=cleaned(s.description)) for s in found.suggestions],
            replace_start=found.start,
            replace_end=found.end,
        )

    async def _run(
        self, request: ExecuteRequest, output: Output, spans: dict[str, tuple[int, int]], context: Context
    ) -> None:
        """Run the line; leaves in ``spans`` which part of it each field came from."""
        words = split(request.line)
        if not words:
            return
        spans["command"] = (words[0].start, words[0].end)
        command = find(VOCABULARY, words[0].text)
        arguments: Arguments = read_arguments(command, words[1:], len(request.line))
        spans.update(arguments.spans)
        await command.run(Call(self._town, command, arguments, output, request.session_id, context))


def _check_line(line: str) -> None:
    if len(line) > MAX_LINE_CHARACTERS:
        raise InvalidArgument(f"the line has {len(line)} characters; {MAX_LINE_CHARACTERS} are allowed", field="line")


def _span(error: TownsfolkError, spans: dict[str, tuple[int, int]]) -> tuple[int, int] | None:
    """The part of the line that is at fault, where one is."""
    return error.span if isinstance(error, BadLine) else spans.get(error.field)
