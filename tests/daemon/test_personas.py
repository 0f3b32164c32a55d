"""PersonaService and GetStats over the wire."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import grpc
import pytest

from tests.daemon.conftest import StartTown, Town, soon
from tests.fakes import CAPABILITIES, MODEL_NAME, Reply, ScriptedEngine, write_adapter, write_persona
from townsfolk.v1 import persona_pb2 as pb
from townsfolk.v1.daemon_pb2 import EngineCapabilities, GetStatsRequest


async def refusal(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await soon(call)
    return raised.value.code()


async def test_a_broken_persona_is_listed_with_its_problem_among_the_others(town: Town) -> None:
    (write_persona(town.daemon.library.folders[0], "broken") / "persona.toml").write_text("[")
    listed = (await town.personas.List(pb.ListRequest())).personas
    assert [p.id for p in listed] == ["broken", "elf", "monk", "smith"]
    assert "TOML" in listed[0].problems[0]
    assert [p.name for p in listed[1:]] == ["Elf", "Monk", "Smith"]
    assert not any(p.problems for p in listed[1:])


async def test_pages_come_one_after_another(town: Town) -> None:
    ids: list[str] = []
    token = ""
    while True:
        page = await town.personas.List(pb.ListRequest(page_size=2, page_token=token))
        assert len(page.personas) <= 2
        ids += [p.id for p in page.personas]
        token = page.next_page_token
        if not token:
            break
    assert ids == ["elf", "monk", "smith"]
    assert await refusal(town.personas.List(pb.ListRequest(page_size=257))) == grpc.StatusCode.INVALID_ARGUMENT


async def test_tasks_are_listed_only_when_asked_for(town: Town) -> None:
    folder = town.daemon.library.folders[0]
    for task in ("abridger", "parser"):
        write_persona(folder, task, kind="task")
    (write_persona(folder, "broken") / "persona.toml").write_text("[")

    async def listed(*kinds: pb.PersonaKind) -> list[str]:
        return [p.id for p in (await town.personas.List(pb.ListRequest(kinds=kinds))).personas]

    assert await listed() == ["broken", "elf", "monk", "smith"]
    assert await listed(pb.PERSONA_KIND_UNSPECIFIED) == ["broken", "elf", "monk", "smith"]
    assert await listed(pb.PERSONA_KIND_TASK) == ["abridger", "broken", "parser"]
    everybody = await listed(pb.PERSONA_KIND_TASK, pb.PERSONA_KIND_CHARACTER)
    assert everybody == ["abridger", "broken", "elf", "monk", "parser", "smith"]
    kinds = [(await town.personas.Get(pb.GetRequest(persona_id=i))).persona.kind for i in ("elf", "parser", "broken")]
    assert kinds == [pb.PERSONA_KIND_CHARACTER, pb.PERSONA_KIND_TASK, pb.PERSONA_KIND_UNSPECIFIED]


async def test_pages_count_what_is_listed_and_end_with_the_last_of_it(town: Town) -> None:
    for task in ("abridger", "parser", "zealot"):
        write_persona(town.daemon.library.folders[0], task, kind="task")
    page = await town.personas.List(pb.ListRequest(page_size=2))
    assert ([p.id for p in page.personas], page.next_page_token) == (["elf", "monk"], "monk")
    page = await town.personas.List(pb.ListRequest(page_size=1, page_token="monk"))
    assert ([p.id for p in page.personas], page.next_page_token) == (["smith"], "")


async def test_a_task_answers_like_a_character(town: Town) -> None:
    write_persona(town.daemon.library.folders[0], "parser", kind="task")
    assert (await town.say(persona_id="parser"))[-1].finished.text == "Aye."


async def test_a_page_does_not_outgrow_a_message(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("townsfolk.daemon.persona_service.MAX_PAGE_BYTES", 10)
    page = await town.personas.List(pb.ListRequest())
    assert [p.id for p in page.personas] == ["elf"]
    assert page.next_page_token == "elf"


async def test_a_persona_tells_its_actions_and_adapter(town: Town) -> None:
    folder = write_persona(town.daemon.library.folders[0], "guard", emotions=["stern"])
    with (folder / "persona.toml").open("a") as file:
        file.write('\n[[actions]]\nname = "open_gate"\n[actions.args]\nhow = {type = "string", since = 2020-01-01}\n')
    guard = (await town.personas.Get(pb.GetRequest(persona_id="guard"))).persona
    assert list(guard.emotions) == ["stern"]
    assert guard.actions[0].arguments_schema["properties"]["how"]["type"] == "string"
    assert guard.adapter.state == pb.ADAPTER_STATE_NONE
    smith = (await town.personas.Get(pb.GetRequest(persona_id="smith"))).persona
    assert smith.adapter.state == pb.ADAPTER_STATE_ON_DISK
    assert (smith.adapter.rank, smith.adapter.size_bytes, smith.adapter.base_model) == (8, 5, MODEL_NAME)
    assert smith.adapter.path == f"smith/adapters/{MODEL_NAME}"


@pytest.mark.parametrize(
    ("persona_id", "code"),
    [
        ("nobody", grpc.StatusCode.NOT_FOUND),
        ("", grpc.StatusCode.INVALID_ARGUMENT),
        ("../personas/smith", grpc.StatusCode.INVALID_ARGUMENT),
        ("smith/../elf", grpc.StatusCode.INVALID_ARGUMENT),
        ("/etc", grpc.StatusCode.INVALID_ARGUMENT),
        ("..\\smith", grpc.StatusCode.INVALID_ARGUMENT),
        ("smith\0", grpc.StatusCode.INVALID_ARGUMENT),
        ("x" * 1_000_000, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_ids_cannot_leave_the_library(town: Town, persona_id: str, code: grpc.StatusCode) -> None:
    assert await refusal(town.personas.Get(pb.GetRequest(persona_id=persona_id))) == code
    assert await refusal(town.personas.Load(pb.LoadRequest(persona_id=persona_id))) == code
    if persona_id:
        assert await refusal(town.personas.Reload(pb.ReloadRequest(persona_id=persona_id))) == code
    assert await refusal(town.say(persona_id=persona_id)) == code


async def test_loading_brings_the_adapter_in_and_unloading_takes_it_out(town: Town) -> None:
    loaded = await town.personas.Load(pb.LoadRequest(persona_id="smith"))
    assert loaded.persona.adapter.state == pb.ADAPTER_STATE_RESIDENT
    assert (await town.personas.Load(pb.LoadRequest(persona_id="smith"))).load_s == 0
    unloaded = await town.personas.Unload(pb.UnloadRequest(persona_id="smith"))
    assert not unloaded.deferred
    assert unloaded.persona.adapter.state == pb.ADAPTER_STATE_ON_DISK


async def test_a_persona_without_an_adapter_has_nothing_to_load(town: Town) -> None:
    loaded = await town.personas.Load(pb.LoadRequest(persona_id="monk"))
    assert loaded.persona.adapter.state == pb.ADAPTER_STATE_NONE
    assert not (await town.personas.Unload(pb.UnloadRequest(persona_id="monk"))).deferred


async def test_an_adapter_for_another_model_cannot_be_loaded_but_the_persona_speaks(town: Town) -> None:
    write_adapter(town.daemon.library.folders[0] / "monk", "other-model")
    code = await refusal(town.personas.Load(pb.LoadRequest(persona_id="monk")))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert not (await town.say(persona_id="monk"))[0].started.adapter_applied


async def test_unloading_waits_for_the_line_that_uses_the_adapter(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("townsfolk.daemon.residency.UNLOAD_RETRY_S", 0.001)
    hold = asyncio.Event()
    town.engine.script.append(Reply(hold=hold))
    saying = asyncio.create_task(town.say())
    await town.engine.line(0)
    assert (await town.personas.Unload(pb.UnloadRequest(persona_id="smith"))).deferred
    assert town.engine.resident
    hold.set()
    await saying
    async with asyncio.timeout(5):
        while town.engine.resident:
            await asyncio.sleep(0.001)


async def test_reload_tells_what_changed(town: Town) -> None:
    write_persona(town.daemon.library.folders[0], "newcomer")
    report = await town.personas.Reload(pb.ReloadRequest())
    assert list(report.added_persona_ids) == ["newcomer"]
    assert not (await town.personas.Reload(pb.ReloadRequest(persona_id="smith"))).changed_persona_ids


async def test_validate_reports_files_and_lines(town: Town) -> None:
    folder = town.daemon.library.folders[0] / "smith"
    (folder / "dialogue.jsonl").write_text("no json\n")
    answer = await town.personas.Validate(pb.ValidateRequest(persona_id="smith"))
    assert not answer.valid
    assert (answer.problems[0].file, answer.problems[0].line) == ("dialogue.jsonl", 1)
    answer = await town.personas.Validate(pb.ValidateRequest(persona_toml='id = "x"\nname = "X"\n'))
    assert [p.field for p in answer.problems] == ["system"]
    answer = await town.personas.Validate(pb.ValidateRequest(persona_id="elf"))
    assert answer.valid
    assert await refusal(town.personas.Validate(pb.ValidateRequest())) == grpc.StatusCode.INVALID_ARGUMENT


async def test_stats_tell_the_model_and_count_turns(town: Town) -> None:
    session = await town.open("smith")
    await town.say(session_id=session)
    assert await refusal(town.say("")) == grpc.StatusCode.INVALID_ARGUMENT
    stats = await town.stats.GetStats(GetStatsRequest())
    assert stats.model.name == MODEL_NAME
    assert stats.engine.name == "scripted"
    assert stats.engine.ready
    assert stats.engine.decode_tokens == 4
    assert [(b.adapters_in_step, b.steps) for b in stats.engine.step_histogram] == [(1, 4)]
    assert stats.engine.steps == 4
    assert (stats.town.sessions, stats.town.personas) == (1, 3)
    assert (stats.town.turns_finished, stats.town.turns_failed) == (1, 1)
    assert stats.adapter_pool.resident == 1


async def test_stats_tell_what_the_engine_declares(town: Town) -> None:
    stats = await town.stats.GetStats(GetStatsRequest())
    names = [field.name for field in EngineCapabilities.DESCRIPTOR.fields]
    declared = {name: getattr(stats.engine.capabilities, name) for name in names}
    assert declared == asdict(CAPABILITIES)
    assert (stats.engine.max_batch_rows, stats.engine.max_batch_adapters, stats.adapter_pool.slots) == (32, 64, 64)


async def test_stats_survive_a_restart_of_the_engine(start_town: StartTown) -> None:
    class Forgetful(ScriptedEngine):
        def come_back(self) -> None:
            super().come_back()
            self._step = 0
            self._histogram.clear()

    engine = Forgetful()
    town = await start_town(engine)
    await town.say()
    assert (await town.stats.GetStats(GetStatsRequest())).engine.decode_tokens == 4
    engine.die()
    down = (await town.stats.GetStats(GetStatsRequest())).engine
    assert (down.ready, down.decode_tokens) == (False, 4)
    engine.come_back()
    await town.say()
    after = (await town.stats.GetStats(GetStatsRequest())).engine
    assert (after.restarts, after.decode_tokens, after.steps) == (1, 8, 8)
