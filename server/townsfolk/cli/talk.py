"""`townsfolk talk`: a conversation with a persona, which remembers what was said."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from townsfolk.cli.say import LINE_TIMEOUT_S, AddressOption, CuesOption, Spoken, speak
from townsfolk.cli.state import make_state_dir
from townsfolk.cli.terminal import error_console, output_console
from townsfolk.errors import TownsfolkError
from townsfolk.wording import cost_in_words

if TYPE_CHECKING:
    from townsfolk.cli.client import Town

HELP = """\
/persona ID   talk to someone else; coming back goes on where you left off
/stats        what the last line cost
/help         this
/quit         leave (or Ctrl-D); Ctrl-C cuts a running line short"""


def talk(
    persona: Annotated[str, typer.Argument(help="Id of the persona, as `townsfolk personas list` shows it.")],
    address: AddressOption = None,
    timeout: Annotated[float, typer.Option(help="Seconds a line may take.", min=0.1, max=600)] = LINE_TIMEOUT_S,
    cues: CuesOption = False,
) -> None:
    """Talk with a persona, line by line.

    Reads lines from stdin when that is not a terminal. /persona ID changes the speaker, /stats shows what the last
    line cost, /quit or Ctrl-D leaves. Ctrl-C cuts a running line short, and the persona remembers only what it got
    to say.

    Example: townsfolk talk forest_elf
    """
    with asyncio.Runner() as runner:
        conversation = Conversation(runner, timeout, cues)
        try:
            conversation.connect(address)
            conversation.turn_to(persona)
            conversation.hold()
        finally:
            conversation.leave()


class Conversation:
    """Someone at a keyboard and one persona at a time; every persona has a session of its own.

    Each wait is a `runner.run` of its own, so that Ctrl-C ends that wait and not the conversation.
    """

    def __init__(self, runner: asyncio.Runner, timeout_s: float, cues: bool = False) -> None:
        self._runner = runner
        self._timeout_s = timeout_s
        self._cues = cues
        self._town: Town | None = None
        self._sessions: dict[str, str] = {}  # persona id → session id
        self._persona_id = self._name = ""
        self._last = Spoken()
        self._output, self._errors = output_console(), error_console()
        self._interactive = sys.stdin.isatty() and sys.stdout.isatty()

    def connect(self, address: str | None) -> None:
        """Find or start the daemon."""
        self._town = self._runner.run(self._connect(address))

    def turn_to(self, persona_id: str) -> None:
        """Talk to that persona from now on. Raises ``NotFound`` and stays with the one before."""
        self._runner.run(self._turn_to(persona_id))
        if self._interactive:
            self._output.print(f"[dim]You turn to[/dim] {self._name}[dim].  /help lists the commands.[/dim]")

    def hold(self) -> None:
        """Ask and answer until the person leaves."""
        read = self._prompt() if self._interactive else sys.stdin.readline
        while True:
            try:
                line = read()
            except EOFError:
                return
            except KeyboardInterrupt:  # at the prompt: nothing runs that could be cut short
                self._output.print("[dim]/quit or Ctrl-D leaves[/dim]")
                continue
            if not line and not self._interactive:
                return
            text = line.strip()
            if text in ("/quit", "/exit"):
                return
            if text:
                self._answer(text)

    def leave(self) -> None:
        """Close the sessions; a daemon that is gone has closed them already."""
        if self._town is not None:
            with suppress(TownsfolkError, KeyboardInterrupt):
                self._runner.run(self._leave())

    def _answer(self, text: str) -> None:
        command, _, argument = text.partition(" ")
        try:
            if command == "/help":
                self._output.print(HELP, style="dim", markup=False)
            elif command == "/stats":
                words = "nothing was said yet" if self._last.stats is None else cost_in_words(self._last.stats)
                self._output.print(words, style="dim", markup=False)
            elif command == "/persona" and argument:
                self.turn_to(argument.strip())
            elif command.startswith("/"):
                self._errors.print(
                    f"error: there is no {command}; /help lists what there is", style="red", markup=False
                )
            else:
                self._ask(text)
        except TownsfolkError as error:
            if not self._interactive:
                raise
            self._errors.print(f"error: {error.message}", style="red", markup=False)

    def _ask(self, text: str) -> None:
        self._last = Spoken()
        try:
            self._runner.run(self._say(text))
        except KeyboardInterrupt:
            if not self._interactive:
                raise
            self._output.print("[dim](cut short)[/dim]")

    def _prompt(self) -> Callable[[], str]:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.formatted_text import FormattedText
        from prompt_toolkit.history import FileHistory

        history = FileHistory(str(make_state_dir() / "talk_history"))
        session: PromptSession[str] = PromptSession(history=history)
        mark = FormattedText([("bold", "You  ")])
        return lambda: session.prompt(mark, in_thread=True)

    async def _connect(self, address: str | None) -> Town:
        from townsfolk.cli.client import Town
        from townsfolk.cli.launch import find_or_start

        return await Town(await find_or_start(address, self._errors)).__aenter__()

    async def _turn_to(self, persona_id: str) -> None:
        assert self._town is not None
        persona = await self._town.persona(persona_id)
        if persona_id not in self._sessions:
            self._sessions[persona_id] = await self._town.open_session([persona_id])
        self._persona_id, self._name = persona_id, persona.name

    async def _say(self, text: str) -> None:
        from townsfolk.v1.dialogue_pb2 import SayRequest

        assert self._town is not None
        session_id = self._sessions[self._persona_id]
        request = SayRequest(persona_id=self._persona_id, text=text, session_id=session_id, with_cues=self._cues)
        await speak(self._town, request, self._timeout_s, name=self._name, show_stats=False, spoken=self._last)

    async def _leave(self) -> None:
        assert self._town is not None
        try:
            for session_id in self._sessions.values():
                await self._town.close_session(session_id)
        finally:
            await self._town.__aexit__(None, None, None)
