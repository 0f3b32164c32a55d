"""Compare: one line in many variants on one stream, over a real channel."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from tests.daemon.conftest import EOF, PATIENCE_S, StartTown, Town, kinds, soon, spoken, trailers
from tests.fakes import Reply, ScriptedEngine, scripted_likelihood, tiny_tokenizer, unavailable, write_adapter
from townsfolk.dialogue.comparison import MAX_VARIANTS
from townsfolk.dialogue.events import SpeechDelta
from townsfolk.v1 import common_pb2
from townsfolk.v1.common_pb2 import SamplingParams, TurnEvent
from townsfolk.v1.dialogue_pb2 import CancelTurnRequest
from townsfolk.v1.preview_pb2 import (
    VARIANT_KIND_ADAPTER_ONLY,
    VARIANT_KIND_BASE,
    VARIANT_KIND_PERSONA,
    VARIANT_KIND_PROMPT_ONLY,
    CompareRequest,
    CompareResponse,
    Variant,
)
from townsfolk.v1.preview_pb2_grpc import PreviewServiceStub

BASE = Variant(kind=VARIANT_KIND_BASE)
SMITH = Variant(persona_id="smith")
ELF = Variant(persona_id="elf", kind=VARIANT_KIND_PERSONA)
PROMPT = Variant(persona_id="smith", kind=VARIANT_KIND_PROMPT_ONLY)
ADAPTER = Variant(persona_id="smith", kind=VARIANT_KIND_ADAPTER_ONLY)


def call(town: Town, *variants: Variant, text: str = "Hello.", timeout: float | None = None, **fields: Any) -> Any:
    """A comparison that runs."""
    stub: Any = PreviewServiceStub(town.channel)
    return stub.Compare(CompareRequest(text=text, variants=variants, **fields), timeout=timeout)


async def compare(town: Town, *variants: Variant, **fields: Any) -> list[CompareResponse]:
    """All responses of one comparison."""
    async with asyncio.timeout(PATIENCE_S):
        return [response async for response in call(town, *variants, **fields)]


async def refused(town: Town, *variants: Variant, **fields: Any) -> tuple[grpc.StatusCode, str, str]:
    """Status, field and sentence with which a comparison is refused; nothing of it may have reached the engine."""
    before = len(town.engine.lines)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await compare(town, *variants, **fields)
    assert len(town.engine.lines) == before
    assert town.daemon._admission.in_flight == 0
    field = ""
    details = trailers(raised.value).get("grpc-status-details-bin")
    if details is not None:
        for packed in Status.FromString(details).details:
            bad = BadRequest()
            if packed.Unpack(bad):
                field = bad.field_violations[0].field
    return raised.value.code(), field, raised.value.details() or ""


async def rest_of(stream: Any) -> list[CompareResponse]:
    """What is left of a stream that has been read from."""
    responses = []
    while (response := await soon(stream.read())) is not EOF:
        responses.append(response)
    return responses


def events_of(responses: list[CompareResponse], index: int) -> list[TurnEvent]:
    return [response.event for response in responses if response.variant_index == index]


# ── what a variant is ────────────────────────────────────────────────────────────────────────────────────────


async def test_every_variant_speaks_and_ends_once_on_one_stream(town: Town) -> None:
    town.engine.script.extend([Reply("Hello."), Reply("Aye, Grüß dich. 🍺"), Reply("Leaves.")])
    responses = await compare(town, BASE, SMITH, ELF)
    for index, (persona_id, text) in enumerate([("", "Hello."), ("smith", "Aye, Grüß dich. 🍺"), ("elf", "Leaves.")]):
        events = events_of(responses, index)
        assert kinds(events) == ["started", "speech_delta", "finished"]
        assert spoken(events) == events[-1].finished.text == text
        assert [event.sequence for event in events] == list(range(len(events)))
        assert {(e.persona_id, e.session_id) for e in events} == {(persona_id, "")}
    assert len({response.event.turn_id for response in responses}) == 3
    places = [response.variant_index for response in responses]
    assert places != sorted(places), "the variants are not interleaved"
    assert all(not response.tokens for response in responses)


async def test_each_kind_uses_what_it_says_of_the_persona(town: Town) -> None:
    responses = await compare(town, BASE, PROMPT, ADAPTER, SMITH, situation="dusk")
    base, prompt, adapter, persona = town.engine.lines
    for line, system, worn in (
        (base, False, False),
        (prompt, True, False),
        (adapter, False, True),
        (persona, True, True),
    ):
        assert ("You are smith." in line.prompt) == system
        assert ("system" in line.prompt) == system
        assert "(dusk) Hello." in line.prompt
        assert (line.adapter is not None) == worn
    assert adapter.adapter == persona.adapter
    assert persona.adapter is not None
    started = [events_of(responses, index)[0].started for index in range(4)]
    assert [s.adapter_applied for s in started] == [False, False, True, True]
    assert started[3].adapter_digest == persona.adapter.digest


async def test_the_adapter_is_applied_at_its_scale(town: Town) -> None:
    scales = [0.0, 0.5, 2.0]
    responses = await compare(town, SMITH, *(Variant(persona_id="smith", adapter_scale=scale) for scale in scales))
    worn = [line.adapter.scale if line.adapter else None for line in town.engine.lines]
    assert worn == [1.0, None, 0.5, 2.0]
    assert not events_of(responses, 1)[0].started.adapter_applied


async def test_a_persona_without_an_adapter_speaks_by_its_prompt(town: Town) -> None:
    responses = await compare(town, Variant(persona_id="monk", adapter_scale=0.5))
    assert not responses[0].event.started.adapter_applied
    assert "You are monk." in town.engine.lines[0].prompt


async def test_a_system_prompt_can_be_tried_in_place_of_the_personas(town: Town) -> None:
    tried = Variant(persona_id="smith", system_prompt="You are a Käsehändler.")
    silent = Variant(persona_id="smith", kind=VARIANT_KIND_PROMPT_ONLY, system_prompt="")
    await compare(town, tried, silent, SMITH)
    prompts = [line.prompt for line in town.engine.lines]
    assert "You are a Käsehändler." in prompts[0]
    assert "You are smith." not in prompts[0]
    assert "system" not in prompts[1]
    assert "You are smith." in prompts[2]


async def test_control_tokens_in_a_tried_system_prompt_are_text(town: Town) -> None:
    await compare(town, Variant(persona_id="smith", system_prompt="<|im_end|>"), SMITH)
    control = tiny_tokenizer().control_id("<|im_end|>")
    typed, plain = (line.prompt_ids.count(control) for line in town.engine.lines)
    assert typed == plain
    assert town.engine.lines[0].prompt.count("<|im_end|>") == plain + 1


async def test_sampling_goes_from_persona_to_request_to_variant_field_by_field(town: Town) -> None:
    own = SamplingParams(temperature=1.5, stop=["Y"])
    await compare(
        town,
        SMITH,
        Variant(persona_id="smith", sampling=own),
        BASE,
        sampling=SamplingParams(temperature=0.25, max_tokens=17, seed=5, stop=["X"]),
    )
    plain, special, base = (line.sampling for line in town.engine.lines)
    assert (plain.temperature, plain.max_tokens, plain.seed, plain.top_p) == (0.25, 17, 5, 0.95)
    assert (special.temperature, special.max_tokens, special.seed) == (1.5, 17, 5)
    assert base == plain


async def test_stop_strings_of_request_and_variant_both_count(town: Town) -> None:
    town.engine.script.extend([Reply("one X two Y"), Reply("one Y two X"), Reply("one Y two X")])
    responses = await compare(
        town, *[Variant(persona_id="smith", sampling=SamplingParams(stop=["Y"]))] * 2, SMITH,
        sampling=SamplingParams(stop=["X"]),
    )  # fmt: skip
    assert [spoken(events_of(responses, index)) for index in range(3)] == ["one", "one", "one Y two"]


async def test_without_a_seed_every_variant_draws_its_own(town: Town) -> None:
    await compare(town, SMITH, SMITH)
    seeds = {line.sampling.seed for line in town.engine.lines}
    assert len(seeds) == 2


# ── together, in the background ──────────────────────────────────────────────────────────────────────────────


async def test_all_variants_share_their_steps(town: Town) -> None:
    text = "A fairly long line for everyone."
    town.engine.script.extend([Reply(text) for _ in range(4)])
    responses = await compare(town, BASE, SMITH, ELF, Variant(persona_id="elf", adapter_scale=0.5))
    ends = [events_of(responses, index)[-1].finished.stats for index in range(4)]
    for stats in ends:
        assert stats.completion_tokens == len(text)
        assert stats.shared_steps == len(text) - 1, "every step but the one that read the prompt"
        assert stats.max_batch_adapters == 2
        assert stats.max_batch_rows == 4
    assert max(stats.first_step for stats in ends) < min(stats.last_step for stats in ends)


async def test_all_variants_are_with_the_engine_before_one_of_them_speaks(town: Town) -> None:
    hold = asyncio.Event()
    count = MAX_VARIANTS
    town.engine.script.extend([Reply(hold=hold) for _ in range(count)])
    stream = call(town, *[SMITH, ELF] * (count // 2))
    started = [await soon(stream.read()) for _ in range(count)]
    assert [response.event.WhichOneof("event") for response in started] == ["started"] * count
    assert [response.variant_index for response in started] == list(range(count))
    assert len(town.engine.running) == count
    hold.set()
    rest = await rest_of(stream)
    assert sum(response.event.HasField("finished") for response in rest) == count


async def test_previews_wait_behind_every_other_line(town: Town) -> None:
    await compare(town, BASE, SMITH)
    assert [line.priority for line in town.engine.lines] == [-1, -1]


async def test_variants_are_admitted_together_or_not_at_all(start_town: StartTown) -> None:
    hold = asyncio.Event()
    engine = ScriptedEngine([Reply(hold=hold) for _ in range(4)])
    town = await start_town(engine, max_queued_turns=8)  # of which background lines get 6
    first = call(town, *[SMITH] * 4)
    await soon(first.read())
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await compare(town, *[SMITH] * 3)
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-retry-pushback-ms" in trailers(raised.value)
    assert len(engine.lines) == 4
    assert town.daemon._admission.in_flight == 4
    assert len(await compare(town, SMITH, SMITH)) > 0
    hold.set()
    await rest_of(first)
    assert town.daemon._admission.in_flight == 0
    assert town.daemon.runner.registry.counts.failed == 3


async def test_more_variants_than_the_daemon_ever_lets_in_are_not_told_to_try_again(start_town: StartTown) -> None:
    town = await start_town(max_queued_turns=8)
    status, field, sentence = await refused(town, *[SMITH] * 7)
    assert (status, field) == (grpc.StatusCode.INVALID_ARGUMENT, "variants")
    assert "daemon.max_queued_turns" in sentence


async def test_a_variant_that_fails_leaves_the_others_running(town: Town) -> None:
    town.engine.script.extend([Reply("Fine."), Reply("Half a", error=unavailable(), fail_after=4), Reply("Fine too.")])
    responses = await compare(town, SMITH, ELF, BASE)
    assert events_of(responses, 0)[-1].finished.text == "Fine."
    assert events_of(responses, 2)[-1].finished.text == "Fine too."
    failed = events_of(responses, 1)
    assert kinds(failed) == ["started", "speech_delta", "error"]
    assert (failed[-1].error.code, failed[-1].error.retry_after_s) == (14, 0.5)
    assert failed[-1].error.message == "the engine is gone"


async def test_a_bug_in_one_variant_is_internal_and_leaves_the_others_running(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    town.engine.script.extend([Reply(error=ZeroDivisionError("secret")), Reply("Fine.")])
    responses = await compare(town, SMITH, ELF)
    assert events_of(responses, 0)[-1].error.code == 13
    assert "secret" not in events_of(responses, 0)[-1].error.message
    assert events_of(responses, 1)[-1].finished.text == "Fine."
    assert "secret" in caplog.text


async def test_nothing_is_left_of_a_comparison_that_has_ended(town: Town) -> None:
    runner = town.daemon.runner
    responses = await compare(town, SMITH, BASE, top_tokens=20)
    turn_id = responses[0].event.turn_id
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await town.dialogue.CancelTurn(CancelTurnRequest(turn_id=turn_id))
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    assert len(runner.traces) == 0
    assert runner.registry.counts.finished == 2


async def test_likelihoods_that_were_sent_are_not_held_any_longer(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script.append(Reply("Half a line.", hold=hold, hold_after=6))
    stream = call(town, SMITH, top_tokens=20)
    text = ""
    while text != "Half a":
        text += (await soon(stream.read())).event.speech_delta.text
    (turn,) = town.daemon.runner.registry.running
    deltas = [event.what for event in turn.record.events(0) if isinstance(event.what, SpeechDelta)]
    assert "".join(delta.text for delta in deltas) == "Half a"
    assert all(delta.likelihoods == () for delta in deltas)
    hold.set()
    await rest_of(stream)


async def test_a_variant_that_fails_speaks_no_fallback_line(town: Town, persona_folder: Any) -> None:
    with (persona_folder / "smith" / "persona.toml").open("a") as file:
        file.write('\n[[fallback]]\nline = "Not now."\nwhen = "error"\n')
    town.engine.script.extend([Reply(error=unavailable()), Reply(error=unavailable())])
    assert spoken(await town.say()) == "Not now.", "a fallback line that Say would not speak proves nothing"
    responses = await compare(town, PROMPT)
    assert kinds(events_of(responses, 0)) == ["started", "error"]


# ── sessions are read ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_line_follows_a_session_and_leaves_it_as_it_was(town: Town) -> None:
    session_id = await town.open("smith", player_name="Robin")
    town.engine.script.append(Reply("Steel is honest."))
    await town.say("What do you like?", session_id=session_id)
    session = town.daemon.sessions.get(session_id)
    before = list(session.history)
    responses = await compare(town, SMITH, BASE, ELF, text="And rope?", session_id=session_id)
    for line in town.engine.lines[1:]:
        assert (
            line.prompt.index("What do you like?")
            < line.prompt.index("Steel is honest.")
            < line.prompt.index("And rope?")
        )
    _, persona, base, elf = town.engine.lines
    assert "You are speaking with Robin." in persona.prompt
    assert "Robin" not in base.prompt
    assert "You are elf." in elf.prompt
    assert session.history == before
    assert all(response.event.session_id == "" for response in responses)


async def test_each_persona_follows_its_own_memory(town: Town) -> None:
    session_id = await town.open("smith", "elf")
    for persona_id in ("smith", "elf"):
        await town.say(f"Hello {persona_id}, my friend.", session_id=session_id, persona_id=persona_id)
    await compare(town, SMITH, ELF, session_id=session_id)
    smith, elf = town.engine.lines[2:]
    assert "Hello smith" in smith.prompt
    assert "Hello elf" not in smith.prompt
    assert "Hello elf" in elf.prompt


async def test_whose_memory_the_base_model_follows_must_be_clear(town: Town) -> None:
    session_id = await town.open("smith", "elf")
    await town.say("Hello smith, my friend.", session_id=session_id)
    status, field, sentence = await refused(town, SMITH, BASE, ELF, session_id=session_id)
    assert (status, field) == (grpc.StatusCode.INVALID_ARGUMENT, "variants[1].persona_id")
    assert "elf, smith" in sentence
    await compare(town, SMITH, BASE, session_id=session_id)
    assert "Hello smith" in town.engine.lines[-1].prompt


async def test_an_unknown_session_is_not_found(town: Town) -> None:
    status, field, _ = await refused(town, SMITH, session_id="nowhere")
    assert (status, field) == (grpc.StatusCode.NOT_FOUND, "session_id")


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────────────────

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("variants", "fields", "field", "words"),
    [
        ([], {}, "variants", "1 to 32 variants, not 0"),
        ([BASE] * 33, {}, "variants", "1 to 32 variants, not 33"),
        ([BASE], {"text": ""}, "text", "nothing to answer"),
        ([BASE], {"text": "x" * 4001}, "text", "at most 4000"),
        ([BASE], {"situation": "x" * 4001}, "situation", "at most 4000"),
        ([BASE], {"top_tokens": 21}, "top_tokens", "at most 20, not 21"),
        ([BASE], {"sampling": SamplingParams(top_p=1.5)}, "sampling.top_p", "sampling.top_p"),
        ([BASE], {"sampling": SamplingParams(stop=["x"] * 17)}, "sampling.stop", "17 stop strings"),
        ([BASE, Variant(persona_id="smith", label="x" * 65)], {}, "variants[1].label", "at most 64"),
        ([BASE, Variant(persona_id="elf", kind=VARIANT_KIND_BASE)], {}, "variants[1].persona_id", "without a persona"),
        ([BASE, Variant()], {}, "variants[1].persona_id", "needs a persona_id"),
        ([BASE, Variant(kind=VARIANT_KIND_PROMPT_ONLY)], {}, "variants[1].persona_id", "needs a persona_id"),
        ([SMITH, Variant(kind=VARIANT_KIND_ADAPTER_ONLY)], {}, "variants[1].persona_id", "needs a persona_id"),
        ([SMITH, Variant(persona_id="smith", adapter_scale=2.1)], {}, "variants[1].adapter_scale", "0 to 2, not 2.1"),
        ([SMITH, Variant(persona_id="smith", adapter_scale=-0.1)], {}, "variants[1].adapter_scale", "0 to 2"),
        ([SMITH, Variant(persona_id="smith", adapter_scale=math.nan)], {}, "variants[1].adapter_scale", "not nan"),
        ([Variant(kind=VARIANT_KIND_BASE, adapter_scale=1)], {}, "variants[0].adapter_scale", "no adapter to scale"),
        (
            [Variant(persona_id="smith", kind=VARIANT_KIND_PROMPT_ONLY, adapter_scale=1)],
            {},
            "variants[0].adapter_scale",
            "no adapter to scale",
        ),
        ([Variant(kind=VARIANT_KIND_BASE, system_prompt="x")], {}, "variants[0].system_prompt", "no system prompt"),
        (
            [Variant(persona_id="smith", kind=VARIANT_KIND_ADAPTER_ONLY, system_prompt="x")],
            {},
            "variants[0].system_prompt",
            "no system prompt",
        ),
        (
            [SMITH, Variant(persona_id="smith", system_prompt="x" * 8001)],
            {},
            "variants[1].system_prompt",
            "8001 characters; at most 8000",
        ),
        (
            [SMITH, Variant(persona_id="smith", sampling=SamplingParams(temperature=4.5))],
            {},
            "variants[1].sampling.temperature",
            "variants[1]: sampling.temperature",
        ),
        (
            [SMITH, Variant(persona_id="smith", sampling=SamplingParams(stop=[""]))],
            {},
            "variants[1].sampling.stop",
            "0 characters",
        ),
    ],
)  # fmt: skip
async def test_what_is_out_of_bounds_is_refused_with_its_field(
    town: Town, variants: list[Variant], fields: dict[str, Any], field: str, words: str
) -> None:
    status, found, sentence = await refused(town, *variants, **fields)
    assert (status, found) == (INVALID, field)
    assert words in sentence


async def test_bounds_themselves_are_allowed(town: Town) -> None:
    largest = Variant(
        persona_id="smith", adapter_scale=2, label="ü" * 64, system_prompt="", sampling=SamplingParams(temperature=4)
    )
    responses = await compare(town, *[largest] * 32, text="x" * 400, top_tokens=20)
    assert sum(response.event.HasField("finished") for response in responses) == 32


async def test_a_prompt_that_does_not_fit_names_what_to_shorten(town: Town) -> None:
    assert (await refused(town, BASE, SMITH, text="x" * 3990, situation="y" * 3990))[:2] == (INVALID, "text")
    long = Variant(persona_id="smith", system_prompt="x" * 5000)
    assert (await refused(town, BASE, long))[:2] == (INVALID, "variants[1].system_prompt")


async def test_a_reply_without_room_names_who_asked_for_it(start_town: StartTown) -> None:
    town = await start_town(ScriptedEngine(max_context=500))
    whole, own = SamplingParams(max_tokens=600), Variant(persona_id="smith", sampling=SamplingParams(max_tokens=600))
    assert (await refused(town, BASE, SMITH, sampling=whole))[:2] == (INVALID, "sampling.max_tokens")
    assert (await refused(town, BASE, own))[:2] == (INVALID, "variants[1].sampling.max_tokens")


async def test_an_unknown_persona_refuses_the_whole_comparison(town: Town) -> None:
    status, field, sentence = await refused(town, SMITH, Variant(persona_id="smoth"))
    assert (status, field) == (grpc.StatusCode.NOT_FOUND, "variants[1].persona_id")
    assert "did you mean 'smith'" in sentence
    assert town.daemon.runner.registry.counts.failed == 2


async def test_an_adapter_alone_must_be_there(town: Town, persona_folder: Any) -> None:
    alone = Variant(persona_id="monk", kind=VARIANT_KIND_ADAPTER_ONLY)
    status, field, sentence = await refused(town, SMITH, alone)
    assert (status, field) == (grpc.StatusCode.FAILED_PRECONDITION, "variants[1].persona_id")
    assert "townsfolk train monk" in sentence
    write_adapter(persona_folder / "monk", "another-model")
    status, field, sentence = await refused(town, SMITH, alone)
    assert (status, field) == (grpc.StatusCode.FAILED_PRECONDITION, "variants[1].persona_id")
    assert "another-model" in sentence


async def test_a_damaged_adapter_refuses_the_whole_comparison(town: Town, persona_folder: Any) -> None:
    (write_adapter(persona_folder / "monk") / "adapter_config.json").write_text("{")
    assert (await refused(town, SMITH, Variant(persona_id="monk")))[:2] == (INVALID, "variants[1].persona_id")


async def test_a_kind_from_the_future_counts_as_a_persona(town: Town) -> None:
    await compare(town, Variant(persona_id="smith", kind=99))  # type: ignore[arg-type]
    assert town.engine.lines[0].adapter is not None


# ── every way out ────────────────────────────────────────────────────────────────────────────────────────────


async def _held(town: Town, count: int, deadline_s: float | None = None) -> tuple[Any, asyncio.Event]:
    """A comparison of so many variants, each of which has said something and now waits."""
    hold = asyncio.Event()
    town.engine.script.extend([Reply("Half a line.", hold=hold, hold_after=4) for _ in range(count)])
    stream = call(town, *[SMITH, ELF, BASE][:count], timeout=deadline_s)
    spoke: set[int] = set()
    while len(spoke) < count:
        response = await soon(stream.read())
        if response.event.HasField("speech_delta"):
            spoke.add(response.variant_index)
    return stream, hold


async def test_a_client_that_goes_away_frees_every_variant(town: Town) -> None:
    stream, _ = await _held(town, 3)
    lines = list(town.engine.running)
    stream.cancel()
    for line in lines:
        await soon(line.ended.wait())
        assert line.cancelled
    while town.daemon._admission.in_flight:
        await asyncio.sleep(0.01)
    assert town.daemon.runner.registry.counts.cancelled == 3


async def test_the_calls_deadline_frees_every_variant(town: Town) -> None:
    stream, _ = await _held(town, 3, deadline_s=2.0)
    lines = list(town.engine.running)
    with suppress(grpc.aio.AioRpcError):  # each says so just before the deadline; on a busy machine that is too late
        ends = [response.event.finished.reason for response in await rest_of(stream)]
        assert ends == [common_pb2.FINISH_REASON_DEADLINE] * 3
    for line in lines:
        await soon(line.ended.wait())
    while town.daemon._admission.in_flight:
        await asyncio.sleep(0.01)


async def test_without_a_deadline_of_the_call_the_daemons_own_ends_each_variant(start_town: StartTown) -> None:
    engine = ScriptedEngine([Reply("Quick."), Reply(hold=asyncio.Event())])
    town = await start_town(engine, default_deadline_s=0.2)
    responses = await compare(town, SMITH, ELF)
    assert events_of(responses, 0)[-1].finished.text == "Quick."
    assert events_of(responses, 1)[-1].error.code == 4


async def test_one_variant_can_be_cancelled_by_its_turn_id(town: Town) -> None:
    hold = asyncio.Event()
    town.engine.script.extend([Reply(hold=hold), Reply(hold=hold)])
    stream = call(town, SMITH, ELF)
    started = [await soon(stream.read()) for _ in range(2)]
    await town.dialogue.CancelTurn(CancelTurnRequest(turn_id=started[0].event.turn_id))
    ended = await soon(stream.read())
    assert ended.variant_index == 0
    assert ended.event.finished.reason == common_pb2.FINISH_REASON_CANCELLED
    hold.set()
    assert events_of(await rest_of(stream), 1)[-1].finished.text == "Aye."


async def test_a_dead_engine_ends_each_variant_and_refuses_the_next_comparison(town: Town) -> None:
    stream, _ = await _held(town, 2)
    town.engine.die()
    rest = await rest_of(stream)
    assert [response.event.error.code for response in rest] == [14, 14]
    status, _, sentence = await refused(town, SMITH)
    assert status == grpc.StatusCode.UNAVAILABLE
    assert "try again" in sentence


async def test_a_draining_daemon_refuses_and_a_stopping_one_ends_every_variant(town: Town) -> None:
    stream, _ = await _held(town, 2)
    await town.daemon.drain()
    rest = await rest_of(stream)
    assert [response.event.finished.reason for response in rest] == [common_pb2.FINISH_REASON_CANCELLED] * 2
    assert (await refused(town, SMITH))[0] == grpc.StatusCode.UNAVAILABLE


async def test_a_comparison_that_is_cancelled_while_it_is_planned_takes_up_no_room(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    planning, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(*arguments: Any) -> None:
        planning.set()
        await go_on.wait()

    monkeypatch.setattr("townsfolk.dialogue.preview.asyncio.to_thread", slowly)
    stream = call(town, SMITH, ELF)
    await soon(planning.wait())
    assert town.daemon._admission.in_flight == 2
    stream.cancel()
    while town.daemon._admission.in_flight:
        await asyncio.sleep(0.01)
    assert town.engine.lines == []


# ── token probabilities ──────────────────────────────────────────────────────────────────────────────────────


async def test_tokens_stand_behind_the_deltas_they_became_and_the_rest_behind_finished(town: Town) -> None:
    text = " Grüß 🍺 END"
    town.engine.script.append(Reply(text))
    responses = await compare(town, Variant(persona_id="smith", sampling=SamplingParams(stop=["END"])), top_tokens=3)
    ids = tiny_tokenizer().encode(text)
    deltas = [response for response in responses if response.event.HasField("speech_delta")]
    for response in deltas:
        assert len(response.tokens) == response.event.speech_delta.token_count
        # token by token the bytes are those of the text, but for white space that waits for its word
        assert b"".join(token.sampled.piece for token in response.tokens).strip() == (
            response.event.speech_delta.text.strip().encode()
        )
    tokens = [token for response in responses for token in response.tokens]
    assert [token.sampled.token_id for token in tokens] == ids, "the line was cut, so no stop token follows"
    assert [token.position for token in tokens] == list(range(len(ids)))
    assert b"".join(token.sampled.piece for token in responses[-1].tokens) == b" END"
    assert not responses[0].tokens
    assert responses[-1].event.finished.stats.completion_tokens == len(ids)


async def test_a_tokens_numbers_are_the_engines_and_its_piece_is_bytes(town: Town) -> None:
    town.engine.script.append(Reply("🍺"))
    (_, delta, finished) = await compare(town, SMITH, top_tokens=5)
    ids = tiny_tokenizer().encode("🍺")
    assert b"".join(token.sampled.piece for token in delta.tokens) == "🍺".encode()
    assert [len(token.sampled.piece) for token in delta.tokens] == [1, 1, 1, 1]
    for token, token_id in zip(delta.tokens, ids, strict=True):
        expected = scripted_likelihood(token_id, 5)
        assert (token.sampled.token_id, token.sampled.log_probability) == (token_id, expected.log_probability)
        assert [c.token_id for c in token.candidates] == expected.candidate_ids
        assert [c.log_probability for c in token.candidates] == expected.candidate_log_probabilities
        assert [c.piece for c in token.candidates] == [tiny_tokenizer().token_bytes(i) for i in range(5)]
    (stop,) = finished.tokens
    assert (stop.position, stop.sampled.piece) == (4, b"<|im_end|>")


async def test_a_cut_character_and_a_control_token_stand_behind_finished(town: Town) -> None:
    control = tiny_tokenizer().control_id("<|im_start|>")
    ids = [*tiny_tokenizer().encode("ok 🍺")[:-1], control]
    town.engine.script.append(Reply(ids=ids, reason="length"))
    responses = await compare(town, SMITH, top_tokens=1)
    assert spoken(events_of(responses, 0)) == "ok"
    assert [token.sampled.token_id for token in responses[-1].tokens] == ids[2:]
    assert responses[-1].tokens[-1].sampled.piece == b"<|im_start|>"


class SlowReader:
    """A call whose first response is not taken before every line has ended."""

    def __init__(self, engine: ScriptedEngine, lines: int) -> None:
        self._engine, self._lines = engine, lines
        self.responses: list[CompareResponse] = []

    def time_remaining(self) -> None:
        return None

    async def write(self, response: CompareResponse) -> None:
        for number in range(self._lines):
            await (await self._engine.line(number)).ended.wait()
        self.responses.append(response)


async def test_a_slow_reader_gets_joined_deltas_with_all_of_their_tokens(town: Town) -> None:
    text = "word " * 60 + "end"
    town.engine.script.extend([Reply(text), Reply(text)])
    reader: Any = SlowReader(town.engine, 2)
    await soon(town.daemon._previews.Compare(CompareRequest(text="Hi.", variants=[SMITH, ELF], top_tokens=2), reader))
    ids = tiny_tokenizer().encode(text)
    for index in range(2):
        own = [response for response in reader.responses if response.variant_index == index]
        assert len(own) < 10, "the deltas were not joined"
        tokens = [token for response in own for token in response.tokens]
        assert [token.sampled.token_id for token in tokens[:-1]] == ids
        assert [token.position for token in tokens] == list(range(len(ids) + 1))
        assert spoken([response.event for response in own]) == text
