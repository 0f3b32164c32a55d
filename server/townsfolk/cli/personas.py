"""`townsfolk personas`: the characters on disk. Only `watch` needs a daemon."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from townsfolk.cli.terminal import colours_of, counted, output_console
from townsfolk.cli.watch import watch
from townsfolk.errors import InvalidArgument

if TYPE_CHECKING:
    from townsfolk.personas.library import LoadedPersona, PersonaLibrary

app = typer.Typer(
    help="Personas on disk: list, show, validate and watch them.\n\nExample: townsfolk personas list",
    no_args_is_help=True,
)

app.command("watch")(watch)

FoldersOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--personas",
        help="Folder of personas; may be given again. Default: ./personas, then the shipped ones.",
        show_default=False,
    ),
]
ModelOption = Annotated[str | None, typer.Option(help="Base model whose adapters count.", show_default=False)]


class ListedKind(StrEnum):
    """Which personas to list."""

    CHARACTER = "character"
    TASK = "task"
    ALL = "all"


NONE_OF = {ListedKind.CHARACTER: "no characters", ListedKind.TASK: "no tasks", ListedKind.ALL: "no personas"}
KindOption = Annotated[ListedKind, typer.Option(help="Characters, tasks such as story_writer, or all of them.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(
    folders: FoldersOption = None,
    model: ModelOption = None,
    kind: KindOption = ListedKind.CHARACTER,
    as_json: JsonOption = False,
) -> None:
    """List the characters, and whether each has an adapter for the base model.

    Example: townsfolk personas list --personas ./personas

    Example: townsfolk personas list --kind task
    """
    library = _library(folders, model)
    entries = [_entry(library, persona_id) for persona_id in library.ids()]
    if kind is not ListedKind.ALL:  # one that cannot be read has no kind, and is not hidden
        entries = [entry for entry in entries if entry["kind"] in (kind, "")]
    if as_json:
        typer.echo(json.dumps(entries, ensure_ascii=False, indent=2))
        return
    console = output_console()
    if not entries:
        console.print(f"{NONE_OF[kind]} here; `--personas DIR` says where to look", style="dim", markup=False)
        return
    from rich.padding import Padding
    from rich.text import Text

    colours, width = colours_of(entry["id"] for entry in entries), max(len(entry["id"]) for entry in entries)
    for entry in entries:
        mark = ("● ", "green") if entry["adapter"] else ("○ ", "dim")
        name = (entry["name"], f"bold {colours[entry['id']]}")
        console.print(Text.assemble(mark, f"{entry['id']:<{width}}  ", name))
        problem = entry["problems"][0] if entry["problems"] else ""
        words = Text(problem, style="red") if problem else Text(entry["summary"], style="dim")
        console.print(Padding(words, (0, 0, 0, 2)))
    console.print()
    console.print(f"[green]●[/green] has an adapter for {library.model_name}, [dim]○[/dim] speaks by its prompt alone")


@app.command("show")
def show(
    persona: Annotated[str, typer.Argument(help="Id of the persona, or path of its folder.")],
    folders: FoldersOption = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one persona: who it is, how it speaks, what it may do.

    Example: townsfolk personas show old_knight
    """
    library, persona_id = _locate(persona, folders, model)
    loaded = library.get(persona_id)
    if as_json:
        content = {**loaded.persona.model_dump(mode="json"), "folder": str(loaded.folder), "adapter": _adapter(loaded)}
        typer.echo(json.dumps(content, ensure_ascii=False, indent=2))
        return
    _print_sheet(loaded)


@app.command("validate")
def validate(
    personas: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of personas, or paths of their folders. Default: all.", show_default=False),
    ] = None,
    folders: FoldersOption = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check personas and say everything that is wrong with them.

    Exit code 1 if any of them cannot be used; a warning alone is none.

    Example: townsfolk personas validate ./personas/old_knight
    """
    from townsfolk.personas.validation import find_problems

    library = _library(folders, model)
    if personas:
        places = [where.folder_of(name) for where, name in (_locate(given, folders, model) for given in personas)]
    else:
        places = [library.folder_of(persona_id) for persona_id in library.ids()]
    found = {place: find_problems(place, library.model_name) for place in places}
    bad = [place for place, problems in found.items() if not all(problem.warning for problem in problems)]
    if as_json:
        report = [
            {
                "id": place.name,
                "folder": str(place),
                "valid": place not in bad,
                "problems": [asdict(p) for p in problems],
            }
            for place, problems in found.items()
        ]
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        console = output_console()
        for place, problems in found.items():
            mark = "[red]✗[/red]" if place in bad else "[yellow]![/yellow]" if problems else "[green]✓[/green]"
            console.print(f"{mark} {place.name}", soft_wrap=True)
            for problem in problems:
                console.print(f"  {problem}", markup=False, soft_wrap=True)
    if bad:
        raise InvalidArgument(f"{len(bad)} of {counted(len(found), 'persona')} cannot be used as written")


def _library(folders: list[Path] | None, model: str | None) -> PersonaLibrary:
    from townsfolk.models import DEFAULT_MODEL
    from townsfolk.personas.library import PersonaLibrary, default_persona_folders

    library = PersonaLibrary(folders or default_persona_folders())
    library.use_model((model or DEFAULT_MODEL.name).lower())
    return library


def _locate(persona: str, folders: list[Path] | None, model: str | None) -> tuple[PersonaLibrary, str]:
    """The library that holds a persona, and its id there: the path of a folder is a library of its own."""
    given = Path(persona)
    if len(given.parts) > 1 or persona in (".", ".."):
        folder = given.resolve()
        if not (folder / "persona.toml").is_file():
            raise InvalidArgument(f"{persona} has no persona.toml", field="persona")
        return _library([folder.parent], model), folder.name
    return _library(folders, model), persona


def _adapter(loaded: LoadedPersona) -> str:
    return loaded.adapter.path if loaded.adapter is not None else ""


def _entry(library: PersonaLibrary, persona_id: str) -> dict[str, Any]:
    loaded, problems = library.look(persona_id)
    return {
        "id": persona_id,
        "kind": loaded.persona.kind if loaded else "",
        "name": loaded.persona.name if loaded else "",
        "summary": loaded.persona.summary if loaded else "",
        "folder": str(library.folder_of(persona_id)),
        "adapter": _adapter(loaded) if loaded else "",
        "problems": list(problems),
    }


def _print_sheet(loaded: LoadedPersona) -> None:
    from rich.table import Table
    from rich.text import Text

    console, sheet = output_console(), loaded.persona
    colour = colours_of([sheet.id])[sheet.id]
    console.print(Text.assemble((sheet.name, f"bold {colour}"), (f"  {sheet.id}", "dim")))
    console.print(sheet.summary, markup=False)
    console.print()
    sampling = sheet.sampling
    rows = [
        ("kind", sheet.kind if sheet.kind != "character" else ""),
        ("voice", sheet.voice),
        ("prompt", " ".join(sheet.system.split())),
        ("emotions", ", ".join(sheet.emotions)),
        ("actions", "\n".join(f"{action.name}: {action.description}" for action in sheet.actions)),
        ("lore", counted(len(sheet.lore), "fact") if sheet.lore else ""),
        ("fallback", "\n".join(f"{fallback.when}: “{fallback.line}”" for fallback in sheet.fallback)),
        (
            "sampling",
            f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, at most {sampling.max_tokens} tokens",
        ),
        ("adapter", _adapter(loaded) or f"none yet; `townsfolk train {sheet.id}` makes one"),
        ("folder", str(loaded.folder)),
        ("problems", "\n".join(loaded.problems)),
    ]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 1, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(max_width=90)
    for label, value in rows:
        if value:
            table.add_row(label, Text(value))
    console.print(table)
