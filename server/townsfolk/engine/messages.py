"""What the daemon and the engine process say to each other: frozen dataclasses, msgpack, never pickle.

A message travels as a msgpack extension holding ``[tag, [field, …]]`` behind a little-endian 32-bit length. The tag is
looked up in one explicit table; an unknown tag or a wrong number of fields is an error, never a class named by the
wire.
"""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import msgpack

MAX_MESSAGE_BYTES = 64 * 1024 * 1024  # a tokenizer of 256k entries is about 20 MB of JSON
MAX_DEPTH = 8  # of messages in messages; ours go to 3, and each level costs C stack in msgpack
LENGTH_PREFIX = struct.Struct("<I")
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
    ``json_schema``: JSON schema (as text) that the line has to match; empty: free.
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

    ``capabilities``: ``None`` where the engine does not say.
    """

    model_name: str
    family: str
    fingerprint: str
    device: str
    dtype: str
    max_context: int
    max_rank: int
    tokenizer_json: str
    bos_id: int
    eos_ids: list[int]
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
TAG_OF = {cls: tag for tag, cls in enumerate(MESSAGE_TYPES)}
FIELDS_OF = {cls: tuple(f.name for f in dataclasses.fields(cls)) for cls in MESSAGE_TYPES}
STRUCT_EXT = 1  # msgpack extension type that marks a nested message
PACKING = {"use_bin_type": True, "unicode_errors": "surrogatepass"}  # paths need not be Unicode
UNPACKING = {"strict_map_key": False, "max_ext_len": MAX_MESSAGE_BYTES, "unicode_errors": "surrogatepass"}


class MalformedMessage(ValueError):
    """The other end sent bytes that are no message of ours; the connection is not to be trusted any further."""


def encode(message: Message) -> bytes:
    """One message as bytes, length prefix included. Raises ``ValueError`` past ``MAX_MESSAGE_BYTES``."""
    body: bytes = msgpack.packb(message, default=_pack_struct, **PACKING)
    if len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {len(body)} bytes is over the limit of {MAX_MESSAGE_BYTES}")
    return LENGTH_PREFIX.pack(len(body)) + body


def decode(body: bytes) -> Message:
    """The message in ``body`` (without its length prefix). Raises ``MalformedMessage``."""
    try:
        message = msgpack.unpackb(body, ext_hook=partial(_unpack_struct, depth=1), **UNPACKING)
    except MalformedMessage:
        raise
    except Exception as error:  # msgpack raises several unrelated types for malformed input
        raise MalformedMessage(f"not a message: {error}") from error
    if not isinstance(message, Message):
        raise MalformedMessage(f"not a message but a bare {type(message).__name__}")
    return message


def _pack_struct(value: Any) -> msgpack.ExtType:
    cls = type(value)
    tag = TAG_OF.get(cls)
    if tag is None:
        raise TypeError(f"{cls.__name__} is no message")
    fields = [getattr(value, name) for name in FIELDS_OF[cls]]
    return msgpack.ExtType(STRUCT_EXT, msgpack.packb([tag, fields], default=_pack_struct, **PACKING))


def _unpack_struct(code: int, data: bytes, *, depth: int) -> Any:
    if code != STRUCT_EXT:
        raise MalformedMessage(f"unknown extension type {code}")
    if depth > MAX_DEPTH:
        raise MalformedMessage(f"messages are nested more than {MAX_DEPTH} deep")
    content = msgpack.unpackb(data, ext_hook=partial(_unpack_struct, depth=depth + 1), **UNPACKING)
    if not (isinstance(content, list) and len(content) == 2 and isinstance(content[1], list)):
        raise MalformedMessage("a message is [tag, fields]")
    tag, fields = content
    if type(tag) is not int or not 0 <= tag < len(MESSAGE_TYPES):
        raise MalformedMessage(f"unknown message tag {tag!r}")
    cls = MESSAGE_TYPES[tag]
    if len(fields) != len(FIELDS_OF[cls]):
        raise MalformedMessage(f"{cls.__name__} has {len(FIELDS_OF[cls])} fields, not {len(fields)}")
    return cls(*fields)
