"""Stand-ins that tests own: an engine that speaks by script, over a tiny but real tokenizer; personas on the spot."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine import declared
from townsfolk.engine.interface import LineListener
from townsfolk.engine.messages import (
    AdapterLoaded,
    AdapterRef,
    Finished,
    Ready,
    SamplingParams,
    Started,
    Stats,
    Step,
    TokenLikelihood,
)
from townsfolk.errors import FailedPrecondition, InvalidArgument, TownsfolkError, Unavailable

MODEL_NAME = "tiny"
CAPABILITIES = declared.EMBEDDED
CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


@cache
def tiny_tokenizer_json() -> str:
    """A byte-level tokenizer with ChatML's control tokens; every byte is one token."""
    alphabet = sorted(ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens(CONTROL_TOKENS)
    return str(tokenizer.to_str())


@cache
def tiny_tokenizer() -> TextTokenizer:
    """What the daemon builds from ``tiny_tokenizer_json``."""
    return TextTokenizer(tiny_tokenizer_json())


@dataclass
class Reply:
    """What the engine says to one request.

    ``hold_after`` tokens it waits for ``hold`` to be set; ``fail_after`` tokens it raises ``error``. ``ids`` replace
    the tokens of ``text``.
    """

    text: str = "Aye."
    ids: list[int] | None = None
    reason: str = "stop"
    hold: asyncio.Event | None = None
    hold_after: int = 0
    error: Exception | None = None
    fail_after: int = 0


@dataclass
class Line:
    """A request that the engine got, and what became of it. ``cancelled``: it was given up before its end."""

    prompt: str
    sampling: SamplingParams
    adapter: AdapterRef | None
    priority: int
    prompt_ids: list[int]
    json_schema: str = ""
    cancelled: bool = False
    dead: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class ScriptedEngine:
    """An ``Engine`` that answers by script, one token a turn of the event loop; without a script it says "Aye.".

    A line with a JSON schema needs a reply that is valid against it, unless the script cuts it short."""

    name = "scripted"

    def __init__(self, replies: Iterable[Reply] = (), *, max_context: int = 4096) -> None:
        self.restarts = 0
        self.script = deque(replies)
        self.lines: list[Line] = []
        self.running: list[Line] = []
        self.resident: list[str] = []
        self.started = self.stopped = 0
        self.fail_start: Exception | None = None
        self._ready = False
        self._max_context = max_context
        self._step = 0
        self._histogram: dict[int, int] = {}
        self._holds: set[asyncio.Event] = set()
        self._changed = asyncio.Condition()

    # ── what a test does ─────────────────────────────────────────────────────────────────────────────────────

    async def line(self, number: int) -> Line:
        """The ``number``-th request, once it has come (counted from 0)."""
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(lambda: len(self.lines) > number), 5)
        return self.lines[number]

    def die(self) -> None:
        """Like a crash: every line ends with ``Unavailable``, and the engine is not ready."""
        self._ready = False
        for line in self.running:
            line.dead = True
        for hold in self._holds:
            hold.set()

    def come_back(self) -> None:
        """Like the restart after a crash."""
        self.restarts += 1
        self.resident.clear()
        self._ready = True

    # ── Engine ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def info(self) -> Ready:
        if not self.started:
            raise Unavailable("the engine has not started yet")
        tokenizer = tiny_tokenizer_json()
        return Ready(
            *(MODEL_NAME, "llama", "cpu", "float32", self._max_context, 64, tokenizer, 256, [258]),
            *(32, 64, CAPABILITIES),
        )

    async def start(self) -> None:
        if self.fail_start is not None:
            raise self.fail_start
        self.started += 1
        self._ready = True

    async def stop(self) -> None:
        self.stopped += 1
        self.die()

    async def generate(
        self,
        prompt: list[int],
        sampling: SamplingParams,
        stop_ids: list[int],
        listener: LineListener,
        adapter: AdapterRef | None = None,
        priority: int = 0,
        top_tokens: int = 0,
        json_schema: str = "",
    ) -> Finished:
        if not self._ready:
            raise Unavailable("the engine is not running")
        reply = self.script.popleft() if self.script else Reply()
        if json_schema:
            check_guided(reply, json_schema)
        line = Line(read_prompt(prompt), sampling, adapter, priority, prompt, json_schema)

        def likelihood(token: int) -> TokenLikelihood | None:
            return scripted_likelihood(token, top_tokens) if top_tokens else None

        self.running.append(line)
        self.lines.append(line)
        if adapter is not None and adapter.digest not in self.resident:
            self.resident.append(adapter.digest)
        async with self._changed:
            self._changed.notify_all()
        line.cancelled = True
        try:
            listener.started(Started(len(self.lines), len(prompt), 0, 0.0))
            tokens = tiny_tokenizer().encode(reply.text) if reply.ids is None else reply.ids
            for count, token in enumerate(tokens):
                await self._pause(line, reply, count)
                self._step += 1
                adapters = len({other.adapter.digest for other in self.running if other.adapter})
                self._histogram[adapters] = self._histogram.get(adapters, 0) + 1
                step = Step(self._step, len(self.running), adapters, time.time_ns())
                listener.sampled(token, step, likelihood(token))
            await self._pause(line, reply, len(tokens))
            line.cancelled = False
            stop_token = likelihood(stop_ids[0]) if reply.reason == "stop" else None
            return Finished(len(self.lines), reply.reason, len(tokens), stop_token)
        finally:
            self.running.remove(line)
            line.ended.set()

    async def _pause(self, line: Line, reply: Reply, count: int) -> None:
        if reply.hold is not None and count == reply.hold_after:
            self._holds.add(reply.hold)
            await reply.hold.wait()
        else:
            await asyncio.sleep(0)
        if line.dead:
            line.cancelled = False
            raise Unavailable("the engine stopped unexpectedly", retry_after_s=0.5)
        if reply.error is not None and count == reply.fail_after:
            line.cancelled = False
            raise reply.error

    async def load_adapter(self, adapter: AdapterRef) -> AdapterLoaded:
        if adapter.digest not in self.resident:
            self.resident.append(adapter.digest)
        return AdapterLoaded(1, adapter.digest, 8, 1000, True)

    async def unload_adapter(self, digest: str) -> None:
        if any(line.adapter and line.adapter.digest == digest for line in self.running):
            raise FailedPrecondition("the adapter is in use")
        if digest in self.resident:
            self.resident.remove(digest)

    async def stats(self) -> Stats:
        if not self._ready:
            raise Unavailable("the engine is not running")
        return Stats(
            steps=self._step,
            decode_tokens=self._step,
            running=len(self.running),
            adapters_per_step=dict(self._histogram),
            resident_adapters=list(self.resident),
            max_rows=3,
        )


def check_guided(reply: Reply, json_schema: str) -> None:
    """Refuse a schema as an engine does; fail the test whose script says what no engine would."""
    try:
        schema = json.loads(json_schema)
        jsonschema.Draft202012Validator.check_schema(schema)
    except (ValueError, jsonschema.SchemaError) as error:
        raise InvalidArgument(f"the JSON schema cannot be followed: {error}", field="json_schema") from error
    if reply.reason == "stop" and reply.error is None:
        text = tiny_tokenizer().decode(reply.ids) if reply.ids is not None else reply.text
        jsonschema.validate(json.loads(text), schema)


def scripted_likelihood(token_id: int, count: int) -> TokenLikelihood:
    """What the scripted engine says of a token: the likeliest are always those with the lowest ids."""
    return TokenLikelihood(token_id, -0.25 - token_id, list(range(count)), [-1.0 - i for i in range(count)])


def read_prompt(ids: list[int]) -> str:
    """A prompt as text, control tokens by their names."""
    names = {token_id: name for name, token_id in tiny_tokenizer().control_ids.items()}
    raw = b"".join(names[i].encode() if i in names else tiny_tokenizer().token_bytes(i) for i in ids)
    return raw.decode()


def write_persona(folder: Path, persona_id: str, **values: Any) -> Path:
    """A persona's folder with a ``persona.toml``; values must be such that JSON and TOML write them alike."""
    values = {"name": persona_id.title(), "system": f"You are {persona_id}.", **values}
    place = folder / persona_id
    place.mkdir(parents=True, exist_ok=True)
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"id": persona_id, **values}.items()]
    (place / "persona.toml").write_text("\n".join(lines), "utf-8")
    return place


def write_adapter(persona_folder: Path, model_name: str = MODEL_NAME, *, rank: int = 8, weights: bytes = b"w") -> Path:
    """An adapter's folder that passes every check made without reading weights."""
    place = persona_folder / "adapters" / model_name
    place.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 16, "target_modules": ["q_proj"]}
    (place / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    (place / "adapter_model.safetensors").write_bytes(weights)
    return place


def unavailable() -> TownsfolkError:
    """An error for a script."""
    return Unavailable("the engine is gone", retry_after_s=0.5)
