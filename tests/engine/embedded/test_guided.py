"""Guided lines: whatever the model would rather say, they are JSON of their schema, and nobody else notices."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from tests.dialogue.tiny_tokenizers import KINDS
from tests.engine.embedded.driver import Line, collect, drive, make_engine, run_lines
from tests.engine.embedded.kernels import INSTRUCTION_SETS, load_instruction_set
from tests.engine.embedded.tiny_gguf import write_gguf
from tests.engine.embedded.tiny_models import tiny_tokenizer, write_model
from townsfolk.config import EngineSettings
from townsfolk.dialogue.prompt import PromptBuilder
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine.embedded import json_grammar
from townsfolk.engine.embedded.checkpoint import open_checkpoint
from townsfolk.engine.embedded.engine import EmbeddedEngine
from townsfolk.engine.embedded.start import choose_dtype
from townsfolk.engine.json_schema import MAX_SCHEMA_OBJECTS
from townsfolk.engine.messages import Generate, SamplingParams

WORDS = {"type": "string", "maxLength": 12}
SCHEMAS: dict[str, dict[str, Any]] = {
    "concept": {
        "type": "object",
        "properties": {key: WORDS for key in ("title", "hero", "conflict", "place")},
        "required": ["title", "hero", "conflict", "place"],
        "additionalProperties": False,
    },
    "choice": {"enum": ["glad", "sad", "wary of <|im_end|> and </s>", "Käfer 🦊"]},
    "nested": {
        "type": "object",
        "properties": {
            "hits": {"type": "array", "items": {"type": "integer", "minimum": -5, "maximum": 99}, "maxItems": 3},
            "calm": {"type": "boolean"},
            "who": {"anyOf": [{"$ref": "#/$defs/name"}, {"type": "null"}]},
        },
        "required": ["hits", "calm", "who"],
        "additionalProperties": False,
        "$defs": {"name": {"type": "string", "pattern": "^[A-Z][a-z]{1,6}$"}},
    },
    "number": {"type": "integer", "minimum": 1, "maximum": 20},
}
CONCEPT = json.dumps(SCHEMAS["concept"])
ENDS = ("<|im_end|>", "<|eot_id|>", "</s>")
LONG = 400


def sampled(seed: int, temperature: float = 1.0, **values: Any) -> SamplingParams:
    return SamplingParams(**{"temperature": temperature, "seed": seed, "max_tokens": LONG, **values})


GREEDY = SamplingParams(temperature=0.0, max_tokens=LONG)
WAYS = (GREEDY, sampled(1), sampled(2, 3.0), sampled(3, 0.7, top_k=40, top_p=0.9, min_p=0.02, repetition_penalty=1.3))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model("smollm2", tmp_path_factory.mktemp("model"))


def text_of(engine: EmbeddedEngine, line: Line) -> str:
    """As the daemon reads it."""
    return TextTokenizer(engine.ready().tokenizer_json).decode(line.tokens)


def check_json(engine: EmbeddedEngine, line: Line, schema: dict[str, Any]) -> None:
    """The line is whole and valid, by a validator that is none of ours."""
    assert line.failed is None
    assert line.finished is not None
    assert line.finished.reason == "stop"
    assert line.finished.completion_tokens == len(line.tokens)
    jsonschema.validate(json.loads(text_of(engine, line)), schema)


def guided(
    request_id: int, schema: dict[str, Any], sampling: SamplingParams = GREEDY, stop_ids: Any = (2,)
) -> Generate:
    return Generate(request_id, [5, 6, 7 + request_id], sampling, list(stop_ids), json_schema=json.dumps(schema))


# ── the promise ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
def test_any_model_with_any_tokenizer_says_json_of_the_schema(kind: str, tmp_path: Path) -> None:
    tokenizer: Tokenizer = KINDS[kind][0]()
    end = next(i for i in map(tokenizer.token_to_id, ENDS) if i is not None)
    padded = -(-tokenizer.get_vocab_size() // 64) * 64  # as published models have it: more logits than tokens
    for seed in range(3):
        folder = write_model("llama2", tmp_path / str(seed), seed, vocab_size=padded, eos_token_id=end)
        tokenizer.save(str(folder / "tokenizer.json"))
        engine = make_engine(folder)
        schemas = list(SCHEMAS.values()) * len(WAYS)
        requests = [guided(i, schema, WAYS[i // len(SCHEMAS)], [end]) for i, schema in enumerate(schemas)]
        for i, line in run_lines(engine, requests).items():
            check_json(engine, line, schemas[i])
        engine.close()


@pytest.mark.parametrize("kind", ["chatml", "llama2"])
def test_the_tokenizer_of_a_gguf_file_guides_as_well(kind: str, tmp_path: Path) -> None:
    tokenizer: Tokenizer = KINDS[kind][0]()
    size = tokenizer.get_vocab_size()
    folder = write_model("llama2", tmp_path / "model", vocab_size=size)
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    path = write_gguf(loaded, tmp_path / "m.gguf", tokenizer=tokenizer)
    engine = make_engine(path)
    requests = [guided(i, schema, sampled(i)) for i, schema in enumerate(SCHEMAS.values())]
    for line, schema in zip(run_lines(engine, requests).values(), SCHEMAS.values(), strict=True):
        check_json(engine, line, schema)


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
def test_the_int8_kernel_is_guided_alike(
    isa: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = load_instruction_set(isa, tmp_path, monkeypatch)
    monkeypatch.setattr("townsfolk.engine.embedded.backend.load_kernel", lambda: kernel)
    engine = make_engine(model, torch.int8)
    schemas = list(SCHEMAS.values()) * len(WAYS)
    requests = [guided(i, schema, WAYS[i // len(SCHEMAS)]) for i, schema in enumerate(schemas)]
    for i, line in run_lines(engine, requests).items():
        check_json(engine, line, schemas[i])
    engine.close()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA card that this PyTorch can use")
def test_a_card_is_guided_as_the_cpu_is(model: Path) -> None:
    requests = [guided(i, schema, way) for i, (schema, way) in enumerate(zip(SCHEMAS.values(), WAYS, strict=True))]
    on_cpu, on_card = (run_lines(make_engine(model, device=device), requests) for device in ("cpu", "cuda"))
    assert [line.tokens for line in on_card.values()] == [line.tokens for line in on_cpu.values()]


def test_the_line_is_the_same_whoever_else_is_speaking(model: Path) -> None:
    requests = [guided(i, schema, sampled(i)) for i, schema in enumerate(SCHEMAS.values())]
    requests += [Generate(10 + i, [9, 8, 7 + i], sampled(i, max_tokens=30), []) for i in range(3)]
    together = run_lines(make_engine(model), requests)
    for request in requests:
        alone = run_lines(make_engine(model), [request])[request.request_id]
        assert together[request.request_id].tokens == alone.tokens


def test_free_lines_load_no_grammar_and_say_what_they_always_said(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_grammar.GrammarCompiler, "compile", lambda *_: pytest.fail("a free line was compiled"))
    monkeypatch.setattr("townsfolk.engine.embedded.engine.mask_logits", lambda *_: pytest.fail("masked"))
    lines = run_lines(make_engine(model), [Generate(1, [5, 6], sampled(1, max_tokens=8), [])])
    assert len(lines[1].tokens) == 8


# ── where a line ends ────────────────────────────────────────────────────────────────────────────────────────


def test_a_line_ends_with_its_last_bracket_even_without_stop_ids(model: Path) -> None:
    engine = make_engine(model)
    line = run_lines(engine, [guided(1, SCHEMAS["concept"], stop_ids=())])[1]
    check_json(engine, line, SCHEMAS["concept"])
    assert text_of(engine, line).endswith('"}')


def test_a_line_cut_by_max_tokens_says_so(model: Path) -> None:
    engine = make_engine(model)
    short = SamplingParams(temperature=0.0, max_tokens=5)
    line = run_lines(engine, [guided(1, SCHEMAS["concept"], short)])[1]
    assert line.finished is not None
    assert (line.finished.reason, len(line.tokens)) == ("length", 5)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(text_of(engine, line))


def test_a_stop_token_that_is_a_letter_of_the_json_does_not_cut_it(model: Path) -> None:
    engine = make_engine(model)
    tokenizer = TextTokenizer(engine.ready().tokenizer_json)
    letters = [tokenizer.encode(letter)[0] for letter in "etaoinsr "]
    schema = {"type": "object", "properties": {"a": WORDS}, "required": ["a"], "additionalProperties": False}
    lines = run_lines(engine, [guided(i, schema, sampled(i), [2, *letters]) for i in range(8)])
    for line in lines.values():
        check_json(engine, line, schema)


def test_json_that_could_go_on_ends_with_the_models_own_end_token(model: Path) -> None:
    engine = make_engine(model)
    schema = {"type": "integer", "minimum": 0, "maximum": 999_999}
    lines = run_lines(engine, [guided(i, schema, sampled(i, 2.0), stop_ids=()) for i in range(24)])
    for line in lines.values():
        check_json(engine, line, schema)
    assert len({len(line.tokens) for line in lines.values()}) > 1


def test_an_end_token_has_its_likelihood_where_it_was_asked_for(model: Path) -> None:
    engine = make_engine(model)
    request = Generate(1, [5], GREEDY, [2], top_tokens=3, json_schema=json.dumps({"enum": ["a"]}))
    (line,) = run_lines(engine, [request]).values()
    assert text_of(engine, line) == '"a"'
    for event in line.events:
        assert event.likelihood is not None
        assert event.likelihood.token_id == event.token_id
        assert event.likelihood.log_probability > -torch.inf  # the model's own, not what the grammar left of it


def test_a_cancelled_line_leaves_nothing_behind(model: Path) -> None:
    engine = make_engine(model)
    lines = {1: Line(), 2: Line()}
    engine.submit(guided(1, SCHEMAS["concept"]))
    engine.cancel(1)  # while its schema is being read
    collect(engine, lines)
    assert lines[1].finished is not None
    engine.submit(guided(2, SCHEMAS["concept"]))
    while len(lines[2].tokens) < 3:
        engine.step()
        collect(engine, lines)
    engine.cancel(2)
    collect(engine, lines)
    assert lines[2].finished is not None
    assert lines[2].finished.reason == "cancelled"
    engine.check_integrity()
    check_json(engine, run_lines(engine, [guided(3, SCHEMAS["concept"])])[3], SCHEMAS["concept"])


# ── bad and hostile schemas ──────────────────────────────────────────────────────────────────────────────────


def chain(length: int) -> str:
    """Schemas each of which refers to the next: a stack overflow for a compiler that descends."""
    links = {f"s{i}": {"type": "array", "items": {"$ref": f"#/$defs/s{i + 1}"}} for i in range(length)}
    return json.dumps({"$ref": "#/$defs/s0", "$defs": {**links, f"s{length}": {"type": "null"}}})


def deep(length: int) -> str:
    return '{"items":' * length + "{}" + "}" * length


WALLS = {"anyOf": [{"const": i} for i in range(40)]}
BAD: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "is not valid JSON"),
    "no object": ('["string"]', "must be a JSON object"),
    "true": ("true", "must be a JSON object"),
    "half a surrogate": ('{"const": "\\ud800"}', "surrogate|JSON"),
    "unknown type": ('{"type": "strin"}', "cannot be followed: .*strin"),
    "unknown keyword": ('{"type": "array", "uniqueItems": true}', "cannot be followed: .*uniqueItems"),
    "nothing fits": ('{"enum": []}', "cannot be followed: Unsatisfiable"),
    "reference to the web": ('{"$ref": "http://example.com/s"}', "cannot be followed: .*example.com"),
    "broken pattern": ('{"type": "string", "pattern": "(("}', "cannot be followed: regex parse error"),
    "too long": (json.dumps({"const": "x" * 65_536}), r"has \d+ bytes, more than the 65536 allowed"),
    "too many objects": (chain(600), r"has \d+ objects in it, more than the 512 allowed"),
    "deep": (deep(4_000), "is not valid JSON|objects in it|cannot be followed"),
    "deep lists": ("[" * 30_000, "is not valid JSON"),
    "product": (json.dumps({"allOf": [WALLS] * 12}), "cannot be followed|objects in it"),
    "endless": (
        '{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"], "additionalProperties": false}',
        "cannot be followed",
    ),
    "only itself": ('{"$ref": "#"}', "cannot be followed"),
}


def test_a_line_over_the_limits_of_a_step_ends_alone(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(json_grammar.LIMITS, "max_lexer_states", 60)
    monkeypatch.setitem(json_grammar.LIMITS, "precompute_large_lexemes", False)
    engine = make_engine(model)
    endless = {"type": "string", "pattern": "^(.*[a-e].{60})&"}
    bystander = Generate(1, [5, 6], SamplingParams(temperature=0.0, max_tokens=LONG), [])
    lines = run_lines(engine, [bystander, guided(2, endless, sampled(1))])
    assert lines[2].failed is not None
    assert lines[2].tokens, "it was to fail in the middle of the line"
    assert re.fullmatch("the JSON schema cannot be followed: .*too many states.*", lines[2].failed.message)
    assert lines[1].tokens == run_lines(make_engine(model), [bystander])[1].tokens


@pytest.mark.parametrize("name", BAD)
def test_a_bad_schema_ends_its_own_line_with_one_sentence(name: str, model: Path) -> None:
    schema, expected = BAD[name]
    engine = make_engine(model)
    bystander = Generate(1, [5, 6], SamplingParams(temperature=0.0, max_tokens=40), [])
    sentence = Generate(2, [5, 7], sampled(1), [2], json_schema=schema)
    lines = run_lines(engine, [bystander, sentence, guided(3, SCHEMAS["number"])])
    failed = lines[2].failed
    assert failed is not None
    assert (failed.status, failed.field) == ("INVALID_ARGUMENT", "json_schema")
    assert re.search(expected, failed.message), failed.message
    assert "\n" not in failed.message
    check_json(engine, lines[3], SCHEMAS["number"])
    assert lines[1].tokens == run_lines(make_engine(model), [bystander])[1].tokens


def test_the_longest_chain_of_schemas_that_is_allowed_does_not_overflow_the_stack(model: Path) -> None:
    engine = make_engine(model)
    longest = chain((MAX_SCHEMA_OBJECTS - 3) // 2)
    assert longest.count("{") in range(MAX_SCHEMA_OBJECTS - 1, MAX_SCHEMA_OBJECTS + 1)
    check_json(engine, run_lines(engine, [guided(1, json.loads(longest), sampled(1))])[1], json.loads(longest))


def test_others_speak_on_while_a_schema_is_being_read(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    check = json_grammar.check_schema

    def slow(schema: str) -> None:
        assert release.wait(60)
        check(schema)

    monkeypatch.setattr(json_grammar, "check_schema", slow)
    engine = make_engine(model)
    lines = {1: Line(), 2: Line()}
    engine.submit(guided(1, SCHEMAS["number"]))
    engine.submit(Generate(2, [5, 6], SamplingParams(temperature=0.0, max_tokens=20), []))
    while not lines[2].ended:
        engine.step()
        collect(engine, lines)
    assert lines[1].started is None
    release.set()
    drive(engine, lines)
    check_json(engine, lines[1], SCHEMAS["number"])


def test_a_sleeping_driver_is_woken_when_the_schema_has_been_read(model: Path) -> None:
    woken = threading.Event()
    engine = EmbeddedEngine(open_checkpoint(model), EngineSettings(), torch.device("cpu"), torch.float32, woken.set)
    lines = {1: Line()}
    engine.submit(guided(1, SCHEMAS["number"]))
    assert woken.wait(60)
    drive(engine, lines)
    check_json(engine, lines[1], SCHEMAS["number"])


def test_a_schema_is_compiled_once_for_many_lines_and_few_are_kept(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    check = json_grammar.check_schema
    monkeypatch.setattr(json_grammar, "check_schema", lambda schema: (read.append(schema), check(schema))[1])
    engine = make_engine(model)
    run_lines(engine, [guided(i, SCHEMAS["number"], sampled(i)) for i in range(12)])
    assert len(read) == 1
    others = [{"enum": [f"word {i}"]} for i in range(json_grammar.KEPT_GRAMMARS + 8)]
    for line, schema in zip(
        run_lines(engine, [guided(i, s) for i, s in enumerate(others)]).values(), others, strict=True
    ):
        check_json(engine, line, schema)
    assert len(engine.grammars._grammars) == json_grammar.KEPT_GRAMMARS


# ── models and machines that cannot ──────────────────────────────────────────────────────────────────────────


def refusal_of(engine: EmbeddedEngine) -> tuple[str, str]:
    lines = run_lines(engine, [guided(1, SCHEMAS["number"]), Generate(2, [5], sampled(1, max_tokens=4), [])])
    assert len(lines[2].tokens) == 4
    assert lines[1].failed is not None
    return lines[1].failed.status, lines[1].failed.message


def change_tokenizer(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "tokenizer.json"
    description = json.loads(path.read_text("utf-8"))
    change(description)
    path.write_text(json.dumps(description), "utf-8")


def test_a_tokenizer_that_tells_no_bytes_guides_no_line(tmp_path: Path) -> None:
    folder = write_model("llama2", tmp_path / "m")
    change_tokenizer(folder, lambda description: description.update(decoder=None))
    status, message = refusal_of(make_engine(folder))
    assert status == "FAILED_PRECONDITION"
    assert message.startswith("this model's tokenizer can guide no line: ")


def test_a_model_without_an_end_token_guides_no_line(model: Path) -> None:
    engine = make_engine(model)
    engine.grammars = json_grammar.GrammarCompiler(tiny_tokenizer().to_str(), [], engine.spec.vocab_size, lambda: None)
    assert refusal_of(engine) == (
        "FAILED_PRECONDITION",
        "this model's tokenizer can guide no line: it names no end-of-text token",
    )


def test_without_the_library_only_guided_lines_are_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    status, message = refusal_of(make_engine(model))
    assert status == "FAILED_PRECONDITION"
    assert "pip install 'townsfolk[embedded]'" in message


# ── the real model ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.real_model
def test_the_real_model_tells_concepts_that_parse(real_model_path: Path) -> None:
    dtype = choose_dtype("auto", torch.device("cpu"), open_checkpoint(real_model_path).spec)
    engine = make_engine(real_model_path, dtype)
    words = {"type": "string", "minLength": 1, "maxLength": 60}
    keys = ["title", "hero", "conflict", "place"]
    schema = {
        "type": "object",
        "properties": {key: words for key in keys},
        "required": keys,
        "additionalProperties": False,
    }
    info = engine.ready()
    builder = PromptBuilder(TextTokenizer(info.tokenizer_json), info.family, info.max_context)
    system = "You plan short stories. Answer in JSON with title, hero, conflict and place."
    prompt = builder.build(system, [], "", "A lighthouse that remembers.", max_tokens=LONG)
    requests = [
        Generate(i, prompt, sampling, builder.stop_ids, json_schema=json.dumps(schema))
        for i, sampling in enumerate([GREEDY, *(sampled(seed, 1.0) for seed in range(5))])
    ]
    for line in run_lines(engine, requests).values():
        check_json(engine, line, schema)
    engine.close()
