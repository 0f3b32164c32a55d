"""``PersonaService.Watch`` over the wire: what is there, and then what changes."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.daemon.conftest import PATIENCE_S, StartTown, Town, soon
from tests.fakes import write_adapter, write_persona
from townsfolk.daemon import library_watch
from townsfolk.errors import Unavailable
from townsfolk.v1 import persona_pb2 as pb
from townsfolk.v1.persona_pb2_grpc import PersonaServiceStub

EXISTING, ADDED, CHANGED, REMOVED, ADAPTER_STATE = (
    pb.PERSONA_CHANGE_EXISTING,
    pb.PERSONA_CHANGE_ADDED,
    pb.PERSONA_CHANGE_CHANGED,
    pb.PERSONA_CHANGE_REMOVED,
    pb.PERSONA_CHANGE_ADAPTER_STATE,
)


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = library_watch.LibraryWatch.__init__.__defaults__
    assert defaults == (library_watch.LOOK_EVERY_S,)
    monkeypatch.setattr(library_watch.LibraryWatch.__init__, "__defaults__", (0.02,))


class Watch:
    """One call of ``Watch``."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def next(self) -> tuple[int, pb.Persona]:
        response = await asyncio.wait_for(self.call.read(), PATIENCE_S)
        return response.change, response.persona

    async def synced(self) -> list[str]:
        """Ids of the personas that were there."""
        found = []
        while True:
            change, persona = await self.next()
            if change == pb.PERSONA_CHANGE_SYNCED:
                return found
            assert change == EXISTING
            found.append(persona.id)

    async def refusal(self) -> grpc.StatusCode:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            while True:
                await asyncio.wait_for(self.call.read(), PATIENCE_S)
                await asyncio.sleep(0)
        return raised.value.code()


@asynccontextmanager
async def watching(town: Town, *persona_ids: str) -> AsyncGenerator[Watch, None]:
    call = town.personas.Watch(pb.WatchRequest(persona_ids=persona_ids))
    try:
        yield Watch(call)
    finally:
        call.cancel()


def folder_of(town: Town) -> Path:
    return town.daemon.library.folders[0]


async def test_what_is_there_comes_first_and_then_the_mark(town: Town) -> None:
    async with watching(town) as watch:
        change, persona = await watch.next()
        assert (change, persona.id, persona.adapter.state) == (EXISTING, "elf", pb.ADAPTER_STATE_ON_DISK)
        assert await watch.synced() == ["monk", "smith"]


async def test_personas_that_come_change_and_go_are_told(town: Town) -> None:
    async with watching(town) as watch:
        await watch.synced()
        write_persona(folder_of(town), "nun", summary="Keeps bees.")
        change, persona = await watch.next()
        assert (change, persona.id, persona.summary) == (ADDED, "nun", "Keeps bees.")
        write_persona(folder_of(town), "nun", summary="Keeps bees and secrets.")
        change, persona = await watch.next()
        assert (change, persona.id, persona.summary) == (CHANGED, "nun", "Keeps bees and secrets.")
        shutil.rmtree(folder_of(town) / "nun")
        change, persona = await watch.next()
        assert (change, persona) == (REMOVED, pb.Persona(id="nun"))


async def test_a_file_that_breaks_is_told_with_its_problem(town: Town) -> None:
    async with watching(town, "monk") as watch:
        assert await watch.synced() == ["monk"]
        (folder_of(town) / "monk" / "persona.toml").write_text("[", "utf-8")
        change, persona = await watch.next()
        assert (change, persona.id) == (CHANGED, "monk")
        assert persona.problems


async def test_an_adapter_is_followed_through_the_engine(town: Town) -> None:
    async with watching(town, "smith") as watch:
        await watch.synced()
        await town.say()
        change, persona = await watch.next()
        assert (change, persona.adapter.state) == (ADAPTER_STATE, pb.ADAPTER_STATE_RESIDENT)
        await town.personas.Unload(pb.UnloadRequest(persona_id="smith"))
        change, persona = await watch.next()
        assert (change, persona.adapter.state) == (ADAPTER_STATE, pb.ADAPTER_STATE_ON_DISK)


async def test_a_retrained_adapter_is_a_change(town: Town) -> None:
    async with watching(town, "monk") as watch:
        await watch.synced()
        write_adapter(folder_of(town) / "monk", weights=b"learned")
        while True:  # two files are written one after the other
            change, persona = await watch.next()
            assert change == CHANGED
            if persona.adapter.digest:
                break
        assert persona.adapter.state == pb.ADAPTER_STATE_ON_DISK


async def test_only_the_personas_asked_for_are_told_and_one_may_be_awaited(town: Town) -> None:
    async with watching(town, "elf", "nun") as watch:
        assert await watch.synced() == ["elf"]
        write_persona(folder_of(town), "friar")
        write_persona(folder_of(town), "nun")
        assert (await watch.next())[1].id == "nun"


async def test_a_second_watcher_is_told_of_all_that_is_there_now(town: Town) -> None:
    async with watching(town) as first:
        await first.synced()
        write_persona(folder_of(town), "nun")
        await first.next()
        async with watching(town) as second:
            assert await second.synced() == ["elf", "monk", "nun", "smith"]
        shutil.rmtree(folder_of(town) / "nun")
        assert (await first.next())[0] == REMOVED


async def test_nobody_looks_when_nobody_watches(town: Town) -> None:
    watch = town.daemon._personas.watch
    async with watching(town) as call:
        await call.synced()
        assert watch._looks is not None
    async with asyncio.timeout(PATIENCE_S):
        while watch._watchers:
            await asyncio.sleep(0.01)
    assert watch._looks is None


async def test_a_watcher_that_does_not_read_is_ended_and_others_are_not(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_watch, "MAX_WAITING_CHANGES", 3)
    watch = town.daemon._personas.watch
    async with watching(town) as reader:
        await reader.synced()
        slow = library_watch._Watcher(frozenset())
        watch._watchers.add(slow)  # one whose client takes nothing
        for number in range(5):
            write_persona(folder_of(town), f"nun{number}")
            assert (await reader.next())[1].id == f"nun{number}"
        with pytest.raises(Exception, match="3 changes wait to be read; watch again, and read faster"):
            await asyncio.wait_for(slow.take(), PATIENCE_S)
        watch._watchers.discard(slow)


async def test_a_client_that_hangs_gives_its_place_back(
    start_town: StartTown, persona_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1500):  # more than fits between a client and the daemon
        write_persona(persona_folder, f"monk{number}", system="x" * 7_900)
    monkeypatch.setattr("townsfolk.daemon.persona_service.READ_PATIENCE_S", 0.2)
    town = await start_town()
    watch = town.daemon._personas.watch
    async with watching(town) as hanging:
        await hanging.next()
        async with asyncio.timeout(PATIENCE_S):
            while watch._watchers:
                await asyncio.sleep(0.01)
        assert await hanging.refusal() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_one_watcher_too_many_is_refused(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_watch, "MAX_WATCHERS", 1)
    async with watching(town) as first:
        await first.synced()
        async with watching(town) as second:
            assert await second.refusal() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("ids", [["../etc"], ["elf", ""], ["elf"] * 257])
async def test_what_is_no_id_is_refused(town: Town, ids: list[str]) -> None:
    async with watching(town, *ids) as watch:
        assert await watch.refusal() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_daemon_that_goes_ends_the_watch(start_town: StartTown) -> None:
    town = await start_town()
    async with grpc.aio.insecure_channel(town.daemon.address) as channel:
        call = PersonaServiceStub(channel).Watch(pb.WatchRequest())
        watch = Watch(call)
        await watch.synced()
        stopped = asyncio.create_task(town.daemon.stop())
        assert await watch.refusal() is grpc.StatusCode.UNAVAILABLE
        await soon(stopped)


async def test_a_watch_that_begins_while_the_daemon_goes_is_ended_too(town: Town) -> None:
    town.daemon._personas.watch.end(Unavailable("the daemon has shut down"))
    async with watching(town) as late:
        assert await late.refusal() is grpc.StatusCode.UNAVAILABLE
