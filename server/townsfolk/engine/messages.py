"""What the daemon and the engine process say to each other, in the frames of ``townsfolk.frames``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from townsfolk.frames import FrameCodec
from townsfolk.frames import MalformedMessage as MalformedMessage

MAX_TOP_TOKENS = 20  # candidates that are told of at each place


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are drawn. Greedy when ``temperature`` is 0.

    ``top_k`` 0, ``top_p`` 1 and ``min_p`` 0 switch the respective filter off. ``repetition_penalty`` is that of
    CTRL (Keskar et al. 2019, arXiv:1909.05858), over prompt and reply, as in transformers.
    """

    temperature: float = 0.7
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    max_tokens: int = 96


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """An adapter on disk: the SHA-256 digest that names it, the folder that holds it, how strongly to apply it."""

    digest: str
    path: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class TokenLikelihood:
    """How likely a sampled token was, and which would have been likeliest in its place.

    Natural logarithms of probabilities under the model's own distribution: before repetition penalty, temperature and
    filters. ``candidate_ids`` and ``candidate_log_probabilities``: likeliest first, with or without the sampled token.
    """

    token_id: int
    log_probability: float
    candidate_ids: list[int]
    candidate_log_probabilities: list[float]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine does beside making lines. What it does not do, it refuses with FAILED_PRECONDITION.

    ``adapter_scale``: applies an adapter more or less strongly than it was trained. ``token_likelihoods``: tells how
    likely each token was. ``guided_decoding``: holds a line to a JSON schema. ``seeded``: the same seed gives the same
    line whatever else is in the batch. ``adapter_patterns``: honours PEFT's ``alpha_pattern``. ``shared_prefix``: KV of
    a prompt is shared between adapters that are activated after it. ``frees_adapters``: unloading gives memory back at
    once.
    """

    adapter_scale: bool
    token_likelihoods: bool
    guided_decoding: bool
    seeded: bool
    adapter_patterns: bool
    shared_prefix: bool
    frees_adapters: bool


# ── daemon → engine ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Generate:
    """Start one line. ``prompt`` are token ids; ``priority`` higher goes first; ``stop_ids`` end the line.

    ``top_tokens``: with every token its likelihood and so many candidates, up to ``MAX_TOP_TOKENS``; 0: neither.
    ``json_schema``: a JSON schema as text; the line is then JSON valid against it, on one line, and whole unless it
    ends with reason length. Empty: the line is free. An engine that cannot do this refuses the line with
    FAILED_PRECONDITION.
    """

    request_id: int
    prompt: list[int]
    sampling: SamplingParams
    stop_ids: list[int]
    adapter: AdapterRef | None = None
    priority: int = 0
    top_tokens: int = 0
    json_schema: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    request_id: int


@dataclass(frozen=True, slots=True)
class LoadAdapter:
    """Read and check an adapter and put it into a slot (``resident``) or only into host memory."""

    call_id: int
    adapter: AdapterRef


@dataclass(frozen=True, slots=True)
class UnloadAdapter:
    """Forget an adapter; refused (FAILED_PRECONDITION) while a line uses it."""

    call_id: int
    digest: str


@dataclass(frozen=True, slots=True)
class GetStats:
    call_id: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop after the current step."""


# ── engine → daemon ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Ready:
    """Sent once, when the model is loaded. ``tokenizer_json`` is the Hugging Face ``tokenizers`` format.

    ``max_batch_rows`` and ``max_batch_adapters``: the most lines, and different adapters, that one step may serve; 0
    where that is not known. ``capabilities``: ``None`` where the engine does not say.
    """

    model_name: str
    family: str
    device: str
    dtype: str
    max_context: int
    max_rank: int
    tokenizer_json: str
    bos_id: int
    eos_ids: list[int]
    max_batch_rows: int = 0
    max_batch_adapters: int = 0
    capabilities: Capabilities | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine could not start; it exits after this."""

    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Started:
    """A line was admitted into the running batch."""

    request_id: int
    prompt_tokens: int
    cached_tokens: int
    queue_s: float


class Token(NamedTuple):
    """One sampled token and the step that made it: how many rows decoded in it, with how many different adapters.

    This is how the engine tells its worker; what travels is ``StepTokens``.
    """

    request_id: int
    token_id: int
    step: int
    rows: int
    adapters: int
    likelihood: TokenLikelihood | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step that sampled: how many rows decoded in it, with how many different adapters, and when it ended.

    ``number`` counts from the engine's start, ``sampled_unix_ns`` in nanoseconds since 1970.
    """

    number: int
    rows: int
    adapters: int
    sampled_unix_ns: int


@dataclass(frozen=True, slots=True)
class StepTokens:
    """Tokens of one step: ``token_ids[i]`` is of line ``request_ids[i]``.

    Flat lists, because packing and unpacking a message for every token costs more than all the rest of its way.
    ``likelihoods``: by request id, of the lines that asked for them.
    """

    step: Step
    request_ids: list[int]
    token_ids: list[int]
    likelihoods: dict[int, TokenLikelihood] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.request_ids) != len(self.token_ids):
            raise ValueError(f"{len(self.token_ids)} tokens for {len(self.request_ids)} lines")


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a line; ``reason`` is stop, length or cancelled.

    ``stop_token``: the likelihood of the token of ``stop_ids`` that ended a line which asked for likelihoods. It is
    none of the line's tokens and not counted.
    """

    request_id: int
    reason: str
    completion_tokens: int
    stop_token: TokenLikelihood | None = None


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """The line could not be made; nothing follows for this id. ``retry_after_s`` as in ``TownsfolkError``."""

    request_id: int
    status: str
    message: str
    field: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """All that one step has to say, in order and in one message, so that a step costs one system call."""

    items: list[Any]


@dataclass(frozen=True, slots=True)
class AdapterLoaded:
    call_id: int
    digest: str
    rank: int
    bytes: int
    resident: bool


@dataclass(frozen=True, slots=True)
class CallFailed:
    call_id: int
    status: str
    message: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class CallDone:
    call_id: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters since the engine started, and its state now. Histogram: adapters in a decode step → steps."""

    call_id: int = 0
    steps: int = 0
    decode_tokens: int = 0
    prefill_tokens: int = 0
    cached_prompt_tokens: int = 0
    running: int = 0
    waiting: int = 0
    max_rows: int = 0
    max_adapters: int = 0
    adapters_per_step: dict[int, int] = field(default_factory=dict)
    resident_adapters: list[str] = field(default_factory=list)
    host_adapters: list[str] = field(default_factory=list)
    prefix_cache_tokens: int = 0
    prefix_cache_capacity: int = 0
    adapter_loads: int = 0
    adapter_evictions: int = 0
    busy_s: float = 0.0


Message = (
    Generate
    | Cancel
    | LoadAdapter
    | UnloadAdapter
    | GetStats
    | Shutdown
    | Ready
    | Failed
    | Started
    | StepTokens
    | Finished
    | RequestFailed
    | Batch
    | AdapterLoaded
    | CallFailed
    | CallDone
    | Stats
)

# The wire tags. Parent and child always come from one installation, so tags may change between versions.
MESSAGE_TYPES: tuple[type[Any], ...] = (
    Generate,
    Cancel,
    LoadAdapter,
    UnloadAdapter,
    GetStats,
    Shutdown,
    Ready,
    Failed,
    Started,
    StepTokens,
    Finished,
    RequestFailed,
    Batch,
    AdapterLoaded,
    CallFailed,
    CallDone,
    Stats,
    SamplingParams,
    AdapterRef,
    Step,
    TokenLikelihood,
    Capabilities,
)
CODEC: FrameCodec[Message] = FrameCodec(MESSAGE_TYPES, Message)
encode = CODEC.encode
decode = CODEC.decode
