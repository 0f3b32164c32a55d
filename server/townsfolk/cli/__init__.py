"""The `townsfolk` command. Heavy imports wait inside the commands, so that `--help` is instant."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from townsfolk import __version__
from townsfolk.cli import (
    background,
    bench,
    console,
    demo,
    doctor,
    models,
    paint,
    personas,
    preview,
    say,
    serve,
    story,
    talk,
    train,
    voices,
)
from townsfolk.cli.terminal import error_console, use_utf8
from townsfolk.errors import TownsfolkError

DEBUG_VARIABLE = "TOWNSFOLK_DEBUG"
INTERRUPTED = 130  # 128 + SIGINT, what shells expect


class _Sentences(TyperGroup):
    """Turns every error a user can meet into one sentence on stderr, and Ctrl-C into exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            error_console().print("interrupted")
            raise typer.Exit(INTERRUPTED) from interrupt
        except Exception as error:
            sentence = _sentence(error)
            if sentence is None or _debugging():
                raise
            _print_error(sentence)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_Sentences,
    name="townsfolk",
    help="A town of talking characters on one language model.\n\nExample: townsfolk demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"townsfolk {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


app.command("demo")(demo.demo)
app.command("say")(say.say)
app.command("preview")(preview.preview)
app.command("story")(story.story)
app.command("voices")(voices.voices)
app.command("talk")(talk.talk)
app.command("console")(console.console)
app.command("serve")(serve.serve)
app.command("status")(background.status)
app.command("stop")(background.stop)
app.command("train")(train.train)
app.command("doctor")(doctor.doctor)
app.command("paint")(paint.paint)
app.add_typer(personas.app, name="personas")
app.add_typer(models.app, name="models")
app.add_typer(bench.app, name="bench")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0, 1 for an error, 2 for a misspelt command, 130 for Ctrl-C.

    Args:
        arguments: the words after `townsfolk`; ``None`` takes those of the process.
    """
    use_utf8()
    try:
        app(arguments)
    except Exception as error:
        if _debugging():
            raise
        _print_error(f"that is a bug in townsfolk ({type(error).__name__}: {error}); `--debug` shows where")
        sys.exit(1)


def _sentence(error: Exception) -> str | None:
    """What to tell a person; ``None`` for what typer reports by itself and for our own bugs."""
    if isinstance(error, TownsfolkError):
        return error.message
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    grpc = sys.modules.get("grpc")
    if grpc is not None and isinstance(error, grpc.RpcError):
        return str(getattr(error, "details", lambda: "")() or error)
    return None


def _print_error(sentence: str) -> None:
    error_console().print(f"error: {sentence}", style="red", markup=False)


def _debugging() -> bool:
    return bool(os.environ.get(DEBUG_VARIABLE))
