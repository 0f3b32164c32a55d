"""``npc.help``: what commands there are, and what one takes."""

from __future__ import annotations

from collections.abc import Mapping

from townsfolk.daemon.console.call import Call
from townsfolk.daemon.console.command import Command, Parameter, find
from townsfolk.daemon.console.suggestions import Source, Suggestion, Wish
from townsfolk.daemon.console.table import Column, wrapped

WORDS = 'Words with spaces stand in "double quotes". Tab completes commands, ids and options.'


def help_command(vocabulary: Mapping[str, Command]) -> Command:
    """The command that explains ``vocabulary``, itself included."""

    async def help_(call: Call) -> None:
        name = call.arguments.get("command")
        if name is None:
            await call.output.table(
                (Column("command"), Column("what it does", elastic=True)),
                [(command.name, command.summary) for command in vocabulary.values()],
            )
            await call.output.detail("npc.help <command> tells what a command takes.")
            await call.output.detail(WORDS)
            return
        await _explain(call, find(vocabulary, name))

    return Command(
        name="npc.help",
        summary="list the commands, or explain one",
        run=help_,
        parameters=(Parameter("command", "to explain", required=False, source=_names(vocabulary)),),
        example="npc.help npc.say",
    )


async def _explain(call: Call, command: Command) -> None:
    await call.output.heading(command.usage)
    summary = f"{command.summary[0].upper()}{command.summary[1:]}."
    await call.output.plain("\n".join(wrapped(summary, call.output.columns)))
    rows = [(parameter.usage, parameter.help) for parameter in command.parameters]
    rows += [(option.usage, option.help) for option in command.options]
    if rows:
        await call.output.labelled(rows)
    await call.output.detail(f"Example: {command.example}")


def _names(vocabulary: Mapping[str, Command]) -> Source:
    async def names(_: object, wish: Wish) -> list[Suggestion]:
        return [Suggestion(name, vocabulary[name].summary) for name in wish.best(vocabulary)]

    return names
