"""`townsfolk doctor`: which engine would make the lines here, why, and what it can do."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from townsfolk.cli.terminal import labelled, output_console
from townsfolk.errors import TownsfolkError
from townsfolk.wording import CAPABILITY_WORDS

if TYPE_CHECKING:
    from townsfolk.config import EngineSettings
    from townsfolk.engine.choose import Choice
    from townsfolk.engine.messages import Capabilities
    from townsfolk.engine.remote.settings import EndpointSettings
    from townsfolk.engine.tensorrt_llm.contract import Difference

NOT_WORKING = 1


class Kind(StrEnum):
    EMBEDDED = "embedded"
    TENSORRT_LLM = "tensorrt_llm"
    REMOTE = "remote"


def doctor(
    engine: Annotated[
        Kind | None, typer.Option(help="Look at this engine only. Default: the one that is chosen.", show_default=False)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings in TOML, as for `serve`.", show_default=False)] = None,
    model: Annotated[
        str | None, typer.Option(help="Base model: a path or a name. Default: the pulled one.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say which engine is chosen on this machine and why, and what it can do.

    With --engine tensorrt_llm the installed TensorRT-LLM is compared with the release that townsfolk was written for.
    Exit code 1: that engine cannot work here.

    Example: townsfolk doctor --engine tensorrt_llm --model ./Llama-3.2-3B-Instruct
    """
    from townsfolk.config import read_settings
    from townsfolk.engine.choose import choose
    from townsfolk.engine.remote.dialects.kinds import DIALECTS
    from townsfolk.engine.remote.settings import named_endpoints

    settings = _with_model(read_settings(config).engine, model)
    if engine is not None:
        settings = settings.model_copy(update={"kind": engine.value})
    choice = choose(settings)
    report: dict[str, Any] = {
        "engine": choice.kind,
        "device": choice.device,
        "model": str(settings.model) if settings.model else None,
        "reasons": choice.reasons,
    }
    servers = named_endpoints(settings.remote) if choice.kind == Kind.REMOTE else []
    report["capabilities"] = asdict(_capabilities(choice, settings, servers))
    if servers:
        report["servers"] = [
            {"url": own.url, "server": own.server, "draws_by_min_p": DIALECTS[own.server].draws_by_min_p}
            for own in servers
        ]
    if choice.kind == Kind.TENSORRT_LLM:
        report["tensorrt_llm"] = _examine(settings)
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        _print(report)
    if not report.get("tensorrt_llm", {}).get("works", True):
        raise typer.Exit(NOT_WORKING)


def _with_model(settings: EngineSettings, wanted: str | None) -> EngineSettings:
    """The model that `serve` would take; none where none is there."""
    from townsfolk.models import resolve_model

    try:
        found = resolve_model(wanted if wanted is not None else settings.model)
    except TownsfolkError:
        if wanted is not None or settings.model is not None:
            raise
        return settings
    return settings.model_copy(update={"model": found})


def _capabilities(choice: Choice, settings: EngineSettings, servers: list[EndpointSettings]) -> Capabilities:
    """What the engine declares; ``servers`` are the remote one's."""
    from townsfolk.engine import declared

    if choice.kind == Kind.TENSORRT_LLM:
        return declared.tensorrt_llm(settings)
    if choice.kind == Kind.REMOTE:
        return declared.remote(own.server for own in servers)
    return declared.EMBEDDED


def _examine(settings: EngineSettings) -> dict[str, Any]:
    """Whether TensorRT-LLM can serve these settings, and how the installed release differs from the contract."""
    from townsfolk.engine.choose import check_tensorrt_llm, tensorrt_llm_version
    from townsfolk.engine.tensorrt_llm.contract import compare_installed, read_contract

    contract = read_contract()
    found: dict[str, Any] = {
        "installed": tensorrt_llm_version() or None,
        "written_for": contract["release"],
        "contract": contract["read_from"],
        "differences": None,
    }
    problems = []
    try:
        found["fit"] = check_tensorrt_llm(settings)
    except TownsfolkError as error:
        problems.append(error.message)
    if found["installed"]:
        try:
            differences: list[Difference] = compare_installed(contract)
        except Exception as error:  # whatever a library raises that finds no GPU, or the wrong one
            problems.append(f"it cannot be imported: {type(error).__name__}: {error}")
        else:
            found["differences"] = [asdict(difference) for difference in differences]
            if any(difference.breaks for difference in differences):
                problems.append("its API has changed; the differences that break are listed first")
    return found | {"problems": problems, "works": not problems}


def _print(report: dict[str, Any]) -> None:
    console = output_console()
    rows = [("engine", report["engine"]), ("device", report["device"]), ("model", report["model"] or "none pulled")]
    console.print(labelled(rows))
    for reason in report["reasons"]:
        console.print(f"  {reason}", markup=False, soft_wrap=True)
    console.print("\ncan do", style="bold")
    for name, able in report["capabilities"].items():
        mark, style = ("●", "green") if able else ("○", "dim")
        console.print(f"  [{style}]{mark}[/{style}] {CAPABILITY_WORDS[name]}")
    if "servers" in report:
        console.print("\nservers", style="bold")
        for server in report["servers"]:
            without = "" if server["draws_by_min_p"] else ", draws lines without min_p"
            console.print(f"  {server['url']} ({server['server']}){without}", markup=False, soft_wrap=True)
    if "tensorrt_llm" in report:
        _print_tensorrt_llm(report["tensorrt_llm"])


def _print_tensorrt_llm(found: dict[str, Any]) -> None:
    console = output_console()
    console.print("\nTensorRT-LLM", style="bold")
    written_for = f"{found['written_for']} ({found['contract']})"
    console.print(labelled([("installed", found["installed"] or "no"), ("written for", written_for)]))
    for problem in found["problems"]:
        console.print(f"  ✗ {problem}", style="red", markup=False, soft_wrap=True)
    if "fit" in found:
        console.print(f"  ✓ {found['fit']}", style="green", markup=False, soft_wrap=True)
    if found["differences"] == []:
        console.print("  ✓ its API is as recorded", style="green")
    for difference in found["differences"] or []:
        mark, style = ("✗", "red") if difference["breaks"] else ("·", "dim")
        console.print(f"  {mark} {difference['name']} {difference['what']}", style=style, markup=False, soft_wrap=True)
