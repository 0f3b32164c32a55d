"""Several servers: which one a line goes to, and how they come, drain and go."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.engine.remote.conftest import Heard, StartEngine, StartServer, chat, name_of, until, write_adapter
from tests.engine.remote.protocol_server import BASE_REPLY, END, ProtocolServer
from townsfolk.config import EngineSettings
from townsfolk.engine import declared
from townsfolk.engine.messages import AdapterRef, SamplingParams
from townsfolk.engine.remote.engine import RemoteEngine
from townsfolk.errors import (
    Cancelled,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    TownsfolkError,
    Unavailable,
)

GREEDY = SamplingParams(temperature=0.0, max_tokens=64)
STOP = [END]


async def held_line(engine: RemoteEngine, adapter: AdapterRef | None = None) -> tuple[asyncio.Task[object], Heard]:
    """A line that has begun and waits for its server's ``hold``."""
    heard = Heard()
    line = asyncio.create_task(engine.generate(chat("Hm?"), GREEDY, STOP, heard, adapter))
    await heard.first.wait()
    return line, heard


def hold(*servers: ProtocolServer) -> asyncio.Event:
    event = asyncio.Event()
    for server in servers:
        server.script.hold, server.script.hold_after = event, 1
    return event


async def test_lines_go_to_the_least_loaded_server(start_server: StartServer, start_engine: StartEngine) -> None:
    servers = [await start_server("vllm"), await start_server("vllm")]
    engine = await start_engine(*servers)
    go_on = hold(*servers)
    lines = [(await held_line(engine))[0] for _ in range(4)]
    assert [len(server.lines) for server in servers] == [2, 2]
    go_on.set()
    await asyncio.gather(*lines)


async def test_lines_go_where_their_adapter_is(
    start_server: StartServer, start_engine: StartEngine, adapter: AdapterRef, tmp_path: Path
) -> None:
    servers = [await start_server("vllm"), await start_server("vllm")]
    engine = await start_engine(*servers)
    other = write_adapter(tmp_path / "smith", seed=1)
    for _ in range(3):
        for ref in (adapter, other):
            await engine.generate(chat("Hm?"), GREEDY, STOP, Heard(), ref)
    # each adapter is on one server alone, and the two are spread
    assert sorted(list(server.adapters) for server in servers) == sorted([[name_of(adapter)], [name_of(other)]])


async def test_lines_that_set_min_p_go_where_it_is_known(
    start_server: StartServer, start_engine: StartEngine, adapter: AdapterRef
) -> None:
    servers = [await start_server("lorax"), await start_server("vllm")]
    engine = await start_engine(*servers)
    await engine.load_adapter(adapter)
    assert [bool(endpoint.held) for endpoint in engine.endpoints] == [True, False]
    for sampling, lines in ((SamplingParams(min_p=0.1), [0, 1]), (SamplingParams(), [1, 1])):
        await engine.generate(chat("Hm?"), sampling, STOP, Heard(), adapter)
        assert [len(server.lines) for server in servers] == lines
    await servers[1].kill()
    await until(lambda: not engine.endpoints[1].up)
    await engine.generate(chat("Hm?"), SamplingParams(min_p=0.1), STOP, Heard(), adapter)
    assert len(servers[0].lines) == 2


async def test_a_full_server_gives_its_lines_to_another(
    start_server: StartServer, start_engine: StartEngine, adapter: AdapterRef
) -> None:
    servers = [await start_server("vllm"), await start_server("vllm")]
    engine = await start_engine(*servers, max_lines=1)
    await engine.load_adapter(adapter)
    go_on = hold(*servers)
    lines = [(await held_line(engine, adapter))[0] for _ in range(2)]
    assert [len(server.lines) for server in servers] == [1, 1]
    with pytest.raises(ResourceExhausted):
        await engine.generate(chat("Hm?"), GREEDY, STOP, Heard(), adapter)
    go_on.set()
    await asyncio.gather(*lines)


async def test_a_line_is_tried_elsewhere_when_its_server_is_killed_before_its_first_token(
    start_server: StartServer, start_engine: StartEngine
) -> None:
    servers = [await start_server("vllm"), await start_server("vllm")]
    engine = await start_engine(*servers, health_interval_s=600)
    await servers[0].kill()
    heard = [Heard() for _ in range(4)]
    await asyncio.gather(*(engine.generate(chat("Hm?"), GREEDY, STOP, h) for h in heard))
    assert [h.text for h in heard] == [BASE_REPLY] * 4
    assert engine.ready


async def test_a_drained_server_ends_its_lines_and_gets_no_new_ones(
    start_server: StartServer, start_engine: StartEngine, tmp_path: Path
) -> None:
    first, second = await start_server("vllm"), await start_server("vllm")
    listed = tmp_path / "endpoints.toml"
    write_endpoints(listed, (first, False), (second, False))
    engine = await start_engine(endpoints=[], endpoints_file=listed)
    go_on = hold(first, second)
    lines = [await held_line(engine) for _ in range(2)]
    write_endpoints(listed, (first, True), (second, False))
    await until(lambda: engine.endpoints[0].draining)
    more = [await held_line(engine) for _ in range(2)]
    assert [len(server.lines) for server in (first, second)] == [1, 3]
    go_on.set()
    await asyncio.gather(*(line for line, _ in lines + more))
    assert all(heard.text == BASE_REPLY for _, heard in lines + more)


async def test_a_server_that_is_no_longer_named_is_let_go_after_its_lines(
    start_server: StartServer, start_engine: StartEngine, tmp_path: Path
) -> None:
    first, second = await start_server("vllm"), await start_server("vllm")
    listed = tmp_path / "endpoints.toml"
    write_endpoints(listed, (first, False))
    engine = await start_engine(endpoints=[], endpoints_file=listed)
    go_on = hold(first)
    line, heard = await held_line(engine)
    write_endpoints(listed, (second, False))
    await until(lambda: any(endpoint.up and endpoint.url == second.url for endpoint in engine.endpoints))
    assert len(engine.endpoints) == 2
    go_on.set()
    await line
    await until(lambda: [endpoint.url for endpoint in engine.endpoints] == [second.url])
    assert heard.text == BASE_REPLY


async def test_what_the_engine_declares_follows_its_servers(
    start_server: StartServer, start_engine: StartEngine, tmp_path: Path
) -> None:
    first, second = await start_server("vllm"), await start_server("llama_cpp")
    listed = tmp_path / "endpoints.toml"
    write_endpoints(listed, (first, False))
    engine = await start_engine(endpoints=[], endpoints_file=listed)
    assert engine.info.capabilities == declared.remote(["vllm"])
    assert (engine.info.max_batch_rows, engine.info.max_batch_adapters) == (0, 0)
    write_endpoints(listed, (first, False), (second, False))
    await until(lambda: len(engine.endpoints) == 2)
    assert engine.info.capabilities == declared.remote(["vllm", "llama_cpp"])
    assert engine.info.capabilities.adapter_scale


async def test_a_broken_endpoints_file_changes_nothing(
    start_server: StartServer, start_engine: StartEngine, tmp_path: Path
) -> None:
    server = await start_server("vllm")
    listed = tmp_path / "endpoints.toml"
    write_endpoints(listed, (server, False))
    engine = await start_engine(endpoints=[], endpoints_file=listed)
    listed.write_text("[[endpoints]]\nurl = 5", "utf-8")
    await asyncio.sleep(0.2)
    heard = Heard()
    await engine.generate(chat("Hm?"), GREEDY, STOP, heard)
    assert heard.text == BASE_REPLY


async def test_an_unwell_server_takes_no_lines_until_it_is_well(
    start_server: StartServer, start_engine: StartEngine
) -> None:
    server = await start_server("vllm")
    engine = await start_engine(server)
    server.script.unwell = True
    await until(lambda: not engine.ready)
    with pytest.raises(Unavailable):
        await engine.generate(chat("Hm?"), GREEDY, STOP, Heard())
    server.script.unwell = False
    await until(lambda: engine.ready)


async def test_connections_are_used_again(start_server: StartServer, start_engine: StartEngine) -> None:
    server = await start_server("vllm")
    engine = await start_engine(server, health_interval_s=600)
    before = server.connections
    for _ in range(10):
        await engine.generate(chat("Hm?"), GREEDY, STOP, Heard())
    assert server.connections == before


async def test_a_connection_that_closes_as_it_is_used_costs_no_line(
    start_server: StartServer, start_engine: StartEngine
) -> None:
    server = await start_server("vllm")
    engine = await start_engine(server)
    server.script.drops = 2
    heard = Heard()
    await engine.generate(chat("Hm?"), GREEDY, STOP, heard)
    assert heard.text == BASE_REPLY
    assert engine.ready
    assert engine.restarts == 0


async def test_adapters_over_the_bound_leave_the_server(
    start_server: StartServer, start_engine: StartEngine, tmp_path: Path
) -> None:
    server = await start_server("vllm")
    engine = await start_engine(server, max_adapters=2)
    refs = [write_adapter(tmp_path / f"persona{i}", seed=i) for i in range(4)]
    for ref in refs:
        await engine.generate(chat("Hm?"), GREEDY, STOP, Heard(), ref)
    assert sorted(server.adapters) == sorted(name_of(ref) for ref in refs[2:])
    assert (await engine.stats()).adapter_evictions == 2


async def test_an_adapter_is_not_unloaded_under_a_line(
    start_server: StartServer, start_engine: StartEngine, adapter: AdapterRef
) -> None:
    server = await start_server("vllm")
    engine = await start_engine(server)
    await engine.load_adapter(adapter)
    go_on = hold(server)
    line, _ = await held_line(engine, adapter)
    with pytest.raises(FailedPrecondition, match="in use"):
        await engine.unload_adapter(adapter.digest)
    go_on.set()
    await line
    await engine.unload_adapter(adapter.digest)


async def test_many_lines_of_one_adapter_load_it_once(
    start_server: StartServer, start_engine: StartEngine, adapter: AdapterRef
) -> None:
    server = await start_server("vllm")
    engine = await start_engine(server)
    await asyncio.gather(*(engine.generate(chat("Hm?"), GREEDY, STOP, Heard(), adapter) for _ in range(8)))
    assert server.calls.count("POST /v1/load_lora_adapter") == 1


async def test_stopping_ends_lines_as_unavailable(start_server: StartServer, start_engine: StartEngine) -> None:
    server = await start_server("vllm")
    engine = await start_engine(server)
    hold(server)
    line, _ = await held_line(engine)
    await engine.stop()
    with pytest.raises(Unavailable):
        await line
    assert not engine.ready


async def test_another_tokenizer_on_the_server_is_noticed_at_the_start(
    start_server: StartServer, start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await start_server("vllm")
    monkeypatch.setattr("tests.engine.remote.protocol_server.BASE_REPLY", "")
    monkeypatch.setattr("tests.engine.remote.protocol_server.END", 5000)
    with pytest.raises(FailedPrecondition, match="another tokenizer"):
        await start_engine(server, wait_for_all=False)


async def test_starting_without_any_server_says_which_was_asked(model: Path) -> None:
    endpoints = [{"url": "http://127.0.0.1:1", "server": "vllm"}]
    engine = RemoteEngine(EngineSettings(model=model, start_timeout_s=0.3, remote={"endpoints": endpoints}))
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        await engine.start()
    await engine.stop()


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        ({}, "has no server"),
        ({"endpoints": [{"url": "http://gpu.example:8000"}]}, "not encrypted"),
        ({"endpoints": [{"url": "http://127.0.0.1:1"}, {"url": "http://127.0.0.1:1/"}]}, "given twice"),
    ],
)
def test_settings_that_cannot_work_are_refused(model: Path, remote: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        RemoteEngine(EngineSettings(model=model, remote=remote))


async def test_a_plain_address_elsewhere_can_be_allowed(model: Path) -> None:
    remote = {"endpoints": [{"url": "http://gpu.example:8000"}], "plain_http": True}
    RemoteEngine(EngineSettings(model=model, remote=remote))


@pytest.mark.parametrize("url", ["gpu:8000", "ftp://gpu", "http://", "http://user:pass@gpu", "http://gpu?x=1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="endpoints"):
        EngineSettings(remote={"endpoints": [{"url": url}]})


async def test_a_prompt_that_is_wrong_is_refused_before_any_server_sees_it(
    start_server: StartServer, start_engine: StartEngine
) -> None:
    server = await start_server("vllm")
    engine = await start_engine(server)
    for prompt in ([], [5] * 5000, [-1], [10**6]):
        with pytest.raises(InvalidArgument):
            await engine.generate(prompt, GREEDY, STOP, Heard())
    assert server.lines == []


async def test_the_key_is_sent_and_kept_out_of_messages(
    start_server: StartServer, start_engine: StartEngine, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret\n", "utf-8")
    server = await start_server("vllm")
    engine = await start_engine(server, api_key_file=key)
    server.script.codes = [401]
    with pytest.raises(FailedPrecondition, match="refused the key") as refused:
        await engine.generate(chat("Hm?"), GREEDY, STOP, Heard())
    assert "s3cret" not in str(refused.value)
    assert server.authorizations == {"Bearer s3cret"}


async def test_an_error_in_the_stream_ends_the_line(start_server: StartServer, start_engine: StartEngine) -> None:
    server = await start_server("vllm")
    engine = await start_engine(server)
    server.script.error_event_after = 3
    heard = Heard()
    with pytest.raises(TownsfolkError, match="out of memory") as failure:
        await engine.generate(chat("Hm?"), GREEDY, STOP, heard)
    assert not isinstance(failure.value, Cancelled)
    assert heard.text == BASE_REPLY[:3]


async def test_a_server_that_falls_silent_is_given_up(start_server: StartServer, start_engine: StartEngine) -> None:
    server = await start_server("vllm")
    engine = await start_engine(server, token_timeout_s=0.2)
    hold(server)
    with pytest.raises(Unavailable, match="in time"):
        await engine.generate(chat("Hm?"), GREEDY, STOP, Heard())
    await until(lambda: server.cancelled == 1)


def write_endpoints(path: Path, *servers: tuple[ProtocolServer, bool]) -> None:
    path.write_text(
        "".join(
            f'[[endpoints]]\nurl = "{server.url}"\nserver = "{server.kind}"\ndraining = {str(draining).lower()}\n'
            for server, draining in servers
        ),
        "utf-8",
    )
