"""`townsfolk bench`: measure Townsfolk on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from townsfolk.cli.bench_output import Output
from townsfolk.errors import InvalidArgument

if TYPE_CHECKING:
    from townsfolk.bench.drive import EngineOptions

app = typer.Typer(
    help="Measure Townsfolk on this machine.\n\nExample: townsfolk bench town --out bench/results",
    no_args_is_help=True,
)

ModelOption = Annotated[
    str | None, typer.Option(help="Base model: a path or a name. Default: the pulled one.", show_default=False)
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
DtypeOption = Annotated[str, typer.Option(help="Precision, as engine.dtype in the settings.")]
ThreadsOption = Annotated[int, typer.Option(help="CPU threads; 0: one per physical core.", min=0, max=1024)]
StreamsList = Annotated[str, typer.Option(help="Lines spoken together, with commas between.")]
AdaptersList = Annotated[str, typer.Option(help="Different adapters among them, with commas between.")]
Rank = Annotated[int, typer.Option(help="LoRA rank of the adapters.", min=1, max=512)]
PromptTokens = Annotated[int, typer.Option(help="Tokens of each prompt.", min=2)]
NewTokens = Annotated[int, typer.Option(help="Tokens of each reply.", min=2)]
Rounds = Annotated[int, typer.Option(help="Timed rounds; medians are reported.", min=1)]
Sample = Annotated[int, typer.Option(help="How many lines are spoken one at a time, to compare.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the results: NAME.json and NAME.png.", show_default=False)]
Chart = Annotated[Path | None, typer.Option(help="PNG file for the chart alone.", show_default=False)]


class GpuEngine(StrEnum):
    EMBEDDED = "embedded"
    TENSORRT_LLM = "tensorrt_llm"


class Shape(StrEnum):
    LLAMA_3B = "llama-3.2-3b"
    TINY = "tiny"


@app.command("town")
def town(
    streams: StreamsList = "1,8,16,32",
    adapters: AdaptersList = "0,1,8,16,32",
    rank: Rank = 16,
    prompt_tokens: PromptTokens = 43,
    new_tokens: NewTokens = 100,
    rounds: Rounds = 3,
    sample: Sample = 2,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    threads: ThreadsOption = 0,
    as_json: AsJson = False,
    out: Out = None,
    chart: Chart = None,
) -> None:
    """Many characters in one batch, beside the bare model and beside one at a time.

    Drives the engine in this process, with random adapters and fresh random prompts.

    Example: townsfolk bench town --streams 1,8 --adapters 0,1,8
    """
    output = Output("town", as_json, out, chart)
    from townsfolk.bench.grid import GridPlan
    from townsfolk.bench.town import bench_town

    cells = _numbers("--streams", streams, least=1), _numbers("--adapters", adapters, least=0)
    plan = GridPlan(*cells, rank, prompt_tokens, new_tokens, rounds, sample)
    options = _options(model, device, dtype, threads)
    output.run(lambda progress: bench_town(options, plan, progress))


@app.command("overhead")
def overhead(
    lines: Annotated[int, typer.Option(help="Lines asked at once.", min=1, max=256)] = 32,
    rank: Rank = 16,
    prompt_tokens: PromptTokens = 43,
    new_tokens: NewTokens = 100,
    rounds: Rounds = 3,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    threads: ThreadsOption = 0,
    as_json: AsJson = False,
    out: Out = None,
    chart: Chart = None,
) -> None:
    """The way through the daemon and gRPC, beside the engine alone.

    Starts a daemon of its own with a persona for each line, and speaks the same lines in this process.

    Example: townsfolk bench overhead --lines 8
    """
    output = Output("overhead", as_json, out, chart)
    from townsfolk.bench.overhead import OverheadPlan, bench_overhead

    plan = OverheadPlan(lines, rank, prompt_tokens, new_tokens, rounds)
    options = _options(model, device, dtype, threads)
    output.run(lambda progress: bench_overhead(options, plan, progress))


@app.command("first-token")
def first_token(
    persona_tokens: Annotated[int, typer.Option(help="Tokens of the persona's prompt.", min=1)] = 512,
    line_tokens: Annotated[int, typer.Option(help="Tokens of what a player says.", min=1)] = 16,
    new_tokens: NewTokens = 16,
    rank: Rank = 16,
    rounds: Rounds = 5,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    threads: ThreadsOption = 0,
    as_json: AsJson = False,
    out: Out = None,
    chart: Chart = None,
) -> None:
    """How long a character takes to begin: met first, met again, in its second turn.

    Example: townsfolk bench first-token --persona-tokens 512
    """
    output = Output("first-token", as_json, out, chart)
    from townsfolk.bench.first_token import FirstTokenPlan, bench_first_token

    plan = FirstTokenPlan(persona_tokens, line_tokens, new_tokens, rank, rounds)
    options = _options(model, device, dtype, threads)
    output.run(lambda progress: bench_first_token(options, plan, progress))


@app.command("scale")
def scale(
    personas: Annotated[int, typer.Option(help="Personas that may be asked.", min=2, max=1000)] = 64,
    slots: Annotated[int, typer.Option(help="Adapters resident together.", min=2)] = 8,
    streams: Annotated[int, typer.Option(help="Lines spoken together.", min=1)] = 8,
    rank: Rank = 16,
    prompt_tokens: PromptTokens = 43,
    new_tokens: NewTokens = 32,
    requests: Annotated[int, typer.Option(help="Lines asked in each round of traffic.", min=1)] = 128,
    rounds: Rounds = 2,
    gap_tokens: Annotated[int, typer.Option(help="Tokens of the running lines whose gaps are measured.", min=2)] = 100,
    disk_personas: Annotated[
        int, typer.Option(help="Personas on disk while memory is measured.", min=1, max=10_000)
    ] = 1000,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    threads: ThreadsOption = 0,
    as_json: AsJson = False,
    out: Out = None,
    chart: Chart = None,
) -> None:
    """Many more personas than adapter slots: who waits, who stutters, what memory they take.

    Example: townsfolk bench scale --personas 64 --slots 8
    """
    output = Output("scale", as_json, out, chart)
    from townsfolk.bench.scale import ScalePlan, bench_scale

    plan = ScalePlan(
        personas, slots, streams, rank, prompt_tokens, new_tokens, requests, rounds, gap_tokens, disk_personas
    )
    options = _options(model, device, dtype, threads)
    output.run(lambda progress: bench_scale(options, plan, progress))


@app.command("profile")
def profile(
    streams: Annotated[int, typer.Option(help="Lines spoken together.", min=1)] = 8,
    adapters: Annotated[int, typer.Option(help="Different adapters among them.", min=1)] = 8,
    rank: Rank = 16,
    prompt_tokens: PromptTokens = 43,
    new_tokens: NewTokens = 100,
    model: ModelOption = None,
    dtype: DtypeOption = "auto",
    threads: ThreadsOption = 0,
    as_json: AsJson = False,
    out: Out = None,
    chart: Chart = None,
) -> None:
    """Where a step of the CPU kernel goes, with and without adapters.

    Example: townsfolk bench profile --streams 32 --adapters 8
    """
    output = Output("profile", as_json, out, chart)
    from townsfolk.bench.profile import ProfilePlan, bench_profile

    plan = ProfilePlan(streams, min(adapters, streams), rank, prompt_tokens, new_tokens)
    options = _options(model, "cpu", dtype, threads)
    output.run(lambda progress: bench_profile(options, plan, progress))


@app.command("gpu")
def gpu(
    streams: StreamsList = "1,8,16,32",
    adapters: AdaptersList = "0,1,8,16,32",
    rank: Rank = 64,
    prompt_tokens: PromptTokens = 43,
    new_tokens: NewTokens = 100,
    rounds: Rounds = 3,
    sample: Sample = 2,
    engine: Annotated[GpuEngine, typer.Option(help="What computes.")] = GpuEngine.EMBEDDED,
    model: Annotated[
        Path | None,
        typer.Option(help="Hugging Face folder, for tensorrt_llm only: it needs real weights.", show_default=False),
    ] = None,
    shape: Annotated[
        Shape, typer.Option(help="Shape of the embedded engine's model; its weights are random.")
    ] = Shape.LLAMA_3B,
    device: Annotated[str, typer.Option(help="cuda, cuda:N, or cpu for a tiny shape.")] = "cuda",
    dtype: DtypeOption = "auto",
    as_json: AsJson = False,
    out: Out = None,
    chart: Chart = None,
) -> None:
    """The town on an NVIDIA card, with a 3B model's shape and random weights, or with a model in TensorRT-LLM.

    43 tokens in, 100 out and LoRA rank 64 are the setting in which NVIDIA published its multi-LoRA figures.

    Example: townsfolk bench gpu --streams 1,8,32 --out bench/results

    Example: townsfolk bench gpu --engine tensorrt_llm --model ./llama-3.2-3b-int4-awq
    """
    if (engine is GpuEngine.TENSORRT_LLM) != (model is not None):
        raise InvalidArgument("--engine tensorrt_llm and --model FOLDER go together", field="model")
    output = Output("gpu", as_json, out, chart)
    from townsfolk.bench.gpu import bench_gpu
    from townsfolk.bench.grid import GridPlan

    cells = _numbers("--streams", streams, least=1), _numbers("--adapters", adapters, least=0)
    plan = GridPlan(*cells, rank, prompt_tokens, new_tokens, rounds, sample)
    if model is not None:
        from townsfolk.bench.tensorrt_llm import bench_tensorrt_llm

        folder = model
        output.run(lambda progress: bench_tensorrt_llm(folder, device, plan, progress))
        return
    output.run(lambda progress: bench_gpu(device, dtype, shape.value, plan, progress))


def _options(model: str | None, device: str, dtype: str, threads: int) -> EngineOptions:
    from townsfolk.bench.drive import EngineOptions
    from townsfolk.models import resolve_model

    return EngineOptions(resolve_model(model), device, dtype, threads)


def _numbers(option: str, text: str, *, least: int) -> tuple[int, ...]:
    """`1,8,16` as numbers. Raises ``InvalidArgument`` for anything else, and for numbers below `least`."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdecimal() and int(word) >= least for word in words):
        raise InvalidArgument(f"{option} takes whole numbers from {least} on with commas between, not {text!r}")
    return tuple(int(word) for word in words)
