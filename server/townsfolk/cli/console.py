"""`townsfolk console`: the developer console of a running daemon."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from townsfolk.cli.say import AddressOption
from townsfolk.cli.terminal import error_console, output_console
from townsfolk.errors import InvalidArgument, TownsfolkError

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

    from townsfolk.cli.client import Town
    from townsfolk.v1.console_pb2 import CompleteResponse

FAILED, MISSPELT = 1, 2
MIN_COLUMNS, MAX_COLUMNS = 20, 1000
LEAVE = ("exit", "quit")


def console(
    command: Annotated[
        list[str] | None,
        typer.Option("--command", "-c", help="Run this line and leave. May be given again.", show_default=False),
    ] = None,
    session: Annotated[str, typer.Option(help="Id of an open session, for lines that name none.")] = "",
    address: AddressOption = None,
) -> None:
    """Open the developer console: npc.say, npc.stats, npc.trace and all the rest.

    Tab completes, npc.help lists the commands, Ctrl-C stops a running one, Ctrl-D leaves.
    With --command, or with lines from a pipe, it runs them and leaves at the first that fails: exit code 2 for a line
    that makes no sense, 1 for everything else.

    Example: townsfolk console -c "npc.stats turns"
    """
    with asyncio.Runner() as runner:
        developer_console = DeveloperConsole(runner, session)
        try:
            developer_console.connect(address)
            if command:
                developer_console.run(command)
            elif sys.stdin.isatty() and sys.stdout.isatty():
                developer_console.hold()
            else:
                developer_console.run(sys.stdin)
        finally:
            developer_console.leave()


class DeveloperConsole:
    """A terminal and a daemon.

    Each wait is a `runner.run` of its own, so that Ctrl-C ends that wait and not the console.
    """

    def __init__(self, runner: asyncio.Runner, session_id: str = "") -> None:
        self._runner = runner
        self._session_id = session_id
        self._town: Town | None = None
        self._output, self._errors = output_console(), error_console()

    def connect(self, address: str | None) -> None:
        """Find or start the daemon."""
        self._town = self._runner.run(self._connect(address))

    def run(self, lines: Iterable[str]) -> None:
        """Run lines until one fails; then leave with its exit code."""
        for line in lines:
            code = self.execute(line)
            if code:
                raise typer.Exit(code)

    def hold(self) -> None:
        """Ask for lines and run them until the person leaves."""
        from townsfolk.cli.console_prompt import console_prompt

        assert self._town is not None
        prompt = console_prompt(self._complete)
        self._output.print(
            f"[bold]Townsfolk console[/bold] [dim]on {self._town.target.address}. Tab completes, npc.help lists the "
            "commands, Ctrl-D leaves.[/dim]"
        )
        while True:
            try:
                line = self._runner.run(self._ask(prompt))
            except EOFError:
                return
            except KeyboardInterrupt:  # at the prompt: only the line is given up
                continue
            if line.strip() in LEAVE:
                return
            try:
                self.execute(line)
            except KeyboardInterrupt:
                self._output.print("[dim](stopped)[/dim]")

    def execute(self, line: str) -> int:
        """Run one line and show what it prints; returns its exit code."""
        if not line.strip():
            return 0
        return self._runner.run(self._execute(_sendable(line)))

    def leave(self) -> None:
        """Let go of the daemon."""
        if self._town is not None:
            self._runner.run(self._town.__aexit__(None, None, None))

    async def _ask(self, prompt: PromptSession[str]) -> str:
        """The next line. A daemon in the background that nobody else needs stays while the person thinks."""
        assert self._town is not None
        staying = asyncio.ensure_future(self._town.stay())
        try:
            return await prompt.prompt_async()
        finally:
            staying.cancel()
            await asyncio.gather(staying, return_exceptions=True)

    async def _connect(self, address: str | None) -> Town:
        from townsfolk.cli.client import Town
        from townsfolk.cli.launch import find_or_start

        return await Town(await find_or_start(address, self._errors)).__aenter__()

    async def _execute(self, line: str) -> int:
        from townsfolk.cli.console_view import ConsoleView

        assert self._town is not None
        view = ConsoleView(self._output, self._errors)
        columns = min(max(self._output.width, MIN_COLUMNS), MAX_COLUMNS)
        try:
            async for piece in self._town.execute(line, session_id=self._session_id, columns=columns):
                view.show(piece)
        except TownsfolkError as error:
            view.finish()
            if not view.error_shown:
                self._errors.print(f"error: {error.message}", style="red", markup=False)
            return MISSPELT if isinstance(error, InvalidArgument) else FAILED
        finally:
            view.finish()
        return 0

    async def _complete(self, line: str, cursor: int) -> CompleteResponse:
        assert self._town is not None
        return await self._town.complete(_sendable(line), cursor, session_id=self._session_id)


def _sendable(line: str) -> str:
    """The line as valid Unicode: bytes of a terminal or an argument that are no UTF-8 become question marks."""
    return line.encode("utf-8", errors="replace").decode("utf-8")
