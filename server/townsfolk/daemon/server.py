"""The daemon's life: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging

import grpc
from grpc_reflection.v1alpha import reflection

from townsfolk.config import PictureSettings, Settings
from townsfolk.daemon.address import Address, check_exposure, parse_address
from townsfolk.daemon.admission import Admission
from townsfolk.daemon.auth import TokenInterceptor, read_token
from townsfolk.daemon.calls import Activity, CallInterceptor
from townsfolk.daemon.console.call import ConsoleTown
from townsfolk.daemon.console_service import ConsoleService
from townsfolk.daemon.dialogue_service import DialogueService
from townsfolk.daemon.health import Health
from townsfolk.daemon.listener import listen, remove_socket, tls_credentials
from townsfolk.daemon.live_settings import LiveSetting
from townsfolk.daemon.metrics_server import MetricsServer, serve_metrics
from townsfolk.daemon.persona_service import PersonaService
from townsfolk.daemon.preview_service import PreviewService
from townsfolk.daemon.session_service import SessionService
from townsfolk.daemon.signals import stop_signals
from townsfolk.daemon.stats_service import StatsService
from townsfolk.daemon.story_service import StoryService
from townsfolk.dialogue.preview import PreviewRunner
from townsfolk.dialogue.session import SessionStore
from townsfolk.dialogue.turn import TurnRunner
from townsfolk.engine.interface import Engine
from townsfolk.errors import TownsfolkError, Unavailable
from townsfolk.personas.library import PersonaLibrary, default_persona_folders
from townsfolk.pictures.painter import Painter
from townsfolk.story.composer import StoryComposer
from townsfolk.story.illustrator import Illustrator
from townsfolk.story.request import PictureWish
from townsfolk.v1 import (
    console_pb2,
    console_pb2_grpc,
    daemon_pb2,
    daemon_pb2_grpc,
    dialogue_pb2,
    dialogue_pb2_grpc,
    persona_pb2,
    persona_pb2_grpc,
    preview_pb2,
    preview_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
    story_pb2,
    story_pb2_grpc,
)

log = logging.getLogger(__name__)

PULSE_S = 0.1  # how often the engine's state and the idle time are looked at
LAST_WORDS_S = 1.0  # for the last events to leave after every turn has ended
MAX_REQUEST_BYTES = 4 * 1024 * 1024  # gRPC's own default, set so that it stays
IDLE_STREAMS = 1024  # calls at once beside those that speak: scenes without a line, stats, probes

SERVICES = tuple(
    descriptor.full_name
    for module in (
        console_pb2,
        daemon_pb2,
        dialogue_pb2,
        persona_pb2,
        preview_pb2,
        session_pb2,
        story_pb2,
    )
    for descriptor in module.DESCRIPTOR.services_by_name.values()
)


class Daemon:
    """Serves the API on one address, with one engine.

    Args:
        settings: all limits, and where to listen.
        engine: not started yet; the daemon starts and stops it.
        painter: of the stories' pictures, likewise; ``None`` where there is nothing to draw with.

    Raises ``InvalidArgument`` for settings that cannot work, such as an open address without TLS and a token.
    """

    def __init__(self, settings: Settings, engine: Engine, painter: Painter | None = None) -> None:
        own = settings.daemon
        self.settings = settings
        self.engine = engine
        self.painter = painter
        self._listen_on = parse_address(own.address)
        self._token = read_token(own)
        self._credentials = tls_credentials(own)
        check_exposure(self._listen_on, tls=self._credentials is not None, token=bool(self._token))
        folders = settings.personas.folders or default_persona_folders()
        self.library = PersonaLibrary(folders, settings.personas.max_personas)
        self.sessions = SessionStore(own.max_sessions, own.max_history_exchanges)
        self.runner = TurnRunner(
            engine,
            self.library,
            self.sessions,
            max_text_bytes=own.max_text_bytes,
            default_deadline_s=own.default_deadline_s,
        )
        self._admission = Admission(own.max_queued_turns)
        self._dialogue = DialogueService(
            self.runner, self._admission, own.max_stream_turns, resume_grace_s=own.resume_grace_s
        )
        previews = PreviewRunner(self.runner, engine, self.library)
        self._previews = PreviewService(previews, self.runner, self._admission, own.max_text_bytes)
        composer = StoryComposer(self.runner, engine, self.library, Illustrator(painter))
        self._stories = StoryService(composer, self._admission, _left_open(settings.pictures))
        self._personas = PersonaService(self.library, engine)
        self._stats = StatsService(engine, self.runner, self.library, lambda: self.draining)
        self._activity = Activity()
        self._health = Health(SERVICES)
        self._stopping = asyncio.Event()
        self._metrics_on = parse_address(own.metrics_address) if own.metrics_address else None
        self._metrics: MetricsServer | None = None
        self._server: grpc.aio.Server | None = None
        self._address: Address | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._painter_start: asyncio.Task[None] | None = None
        self.drain_grace_s = own.drain_grace_s
        self.exit_when_idle_s = own.exit_when_idle_s
        self.draining = False

    @property
    def metrics_address(self) -> str:
        """Where Prometheus scrapes ``/metrics``; empty where it is not asked for, or not yet served."""
        return "" if self._metrics is None else str(self._metrics.address)

    @property
    def address(self) -> str:
        """Where clients connect; port 0 has become a real one. Raises ``Unavailable`` before ``start``."""
        if self._address is None:
            raise Unavailable("the daemon does not listen yet")
        return str(self._address)

    async def start(self) -> None:
        """Listen, load the model, and be SERVING. What fails is raised after everything has been stopped again."""
        self._activity.begin()  # loading counts as being in use
        try:
            self._server = await self._make_server()
            self._address = listen(self._server, self._listen_on, self._credentials)
            await self._server.start()  # before the model is loaded: health says NOT_SERVING, calls UNAVAILABLE
            self.on_listening()
            await self.engine.start()
            await asyncio.to_thread(self.runner.prepare)
            personas = await asyncio.to_thread(self.library.survey)
            if self._metrics_on is not None:
                self._metrics = serve_metrics(self._metrics_on, self._stats.snapshot, self.runner.registry)
            await self._health.set(serving=self.engine.ready)
            self._pulse = asyncio.create_task(self._watch(), name="pulse")
            if self.painter is not None:  # which may ask a server that is slow to answer
                self._painter_start = asyncio.create_task(self._start_painter(self.painter), name="painter")
        except BaseException:
            await self.stop()
            raise
        finally:
            self._activity.end()
        info = self.engine.info
        log.info("serving %d personas on %s with %s (%s)", personas, self.address, info.model_name, info.device)

    def on_listening(self) -> None:
        """Clients can connect from now on; the model is still to be loaded. For subclasses."""

    def hold(self) -> None:
        """Count as in use until ``release``, as it does during a call."""
        self._activity.begin()

    def release(self) -> None:
        """Undo one ``hold``; the idle time counts from here."""
        self._activity.end()

    async def serve(self) -> None:
        """The whole life: start, serve until a signal, ``request_stop`` or idleness, drain, stop."""
        with stop_signals(self.request_stop):
            try:
                await self.start()
                await self._stopping.wait()
                await self.drain()
            finally:
                await self.stop()

    def request_stop(self) -> None:
        """Make ``serve`` return after draining; asked a second time, it no longer waits for lines in flight."""
        if self._stopping.is_set():
            for turn in list(self.runner.registry.running):
                turn.cancel()
        self._stopping.set()

    async def drain(self) -> None:
        """No new turns; those in flight may end within ``drain_grace_s``, then they are cancelled."""
        self.draining = True
        log.info("draining: %d lines in flight", len(self.runner.registry.running))
        await self._health.leave()
        self._admission.close(Unavailable("the daemon is shutting down and takes no new lines"))
        self.runner.registry.cancel_abandoned()
        await self.runner.registry.wait_idle(self.drain_grace_s)
        await self.runner.registry.cancel_all()
        self._end_streams()

    def _end_streams(self) -> None:
        """Streams that would go on for ever."""
        self._dialogue.end_scenes(Unavailable("the daemon has shut down"))
        self._personas.watch.end(Unavailable("the daemon has shut down"))

    async def stop(self) -> None:
        """Stop at once and free everything; cancels lines in flight. Safe to call twice and after a failed start."""
        self._stopping.set()
        if self._pulse is not None:
            self._pulse.cancel()
        self._personas.unloader.stop()
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.stop)
            self._metrics = None
        await self.runner.registry.cancel_all()
        self._end_streams()
        if self._server is not None:
            await self._server.stop(LAST_WORDS_S)
            self._server = None
            if self._address is not None:
                remove_socket(self._address)
        if self._painter_start is not None:
            self._painter_start.cancel()
        if self.painter is not None:
            await self.painter.stop()
        await self.engine.stop()

    @staticmethod
    async def _start_painter(painter: Painter) -> None:
        """Say early what keeps pictures from being drawn; text does not depend on them."""
        try:
            await painter.start()
        except TownsfolkError as error:
            log.warning("no pictures for now: %s", error.message)
        except Exception:
            log.exception("the painter could not be started")

    # ── details ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _watch(self) -> None:
        """Health follows the engine; a daemon that nobody uses ends, where that is wanted."""
        while True:
            await self._health.set(serving=self.engine.ready)
            self.runner.registry.forget_old()
            if self.exit_when_idle_s and self._activity.idle_s >= self.exit_when_idle_s:
                log.info("nobody called for %g s: stopping", self.exit_when_idle_s)
                self._stopping.set()
                return
            await asyncio.sleep(PULSE_S)

    async def _make_server(self) -> grpc.aio.Server:
        interceptors: list[grpc.aio.ServerInterceptor] = [CallInterceptor(self._activity)]  # type: ignore[type-arg]
        if self._token:
            interceptors.insert(0, TokenInterceptor(self._token))
        server = grpc.aio.server(
            interceptors=interceptors,
            options=SERVER_OPTIONS,
            maximum_concurrent_rpcs=self.settings.daemon.max_queued_turns + IDLE_STREAMS,
        )
        dialogue_pb2_grpc.add_DialogueServiceServicer_to_server(self._dialogue, server)
        session_pb2_grpc.add_SessionServiceServicer_to_server(SessionService(self.runner, self.library), server)
        persona_pb2_grpc.add_PersonaServiceServicer_to_server(self._personas, server)
        daemon_pb2_grpc.add_DaemonServiceServicer_to_server(self._stats, server)
        console_pb2_grpc.add_ConsoleServiceServicer_to_server(ConsoleService(self._console()), server)
        preview_pb2_grpc.add_PreviewServiceServicer_to_server(self._previews, server)
        story_pb2_grpc.add_StoryServiceServicer_to_server(self._stories, server)
        await self._health.add_to(server)
        reflection.enable_server_reflection((*SERVICES, "grpc.health.v1.Health", reflection.SERVICE_NAME), server)
        return server

    def _console(self) -> ConsoleTown:
        settings = (
            LiveSetting("max_queued_turns", self._admission, "max_turns"),
            LiveSetting("max_stream_turns", self._dialogue, "max_stream_turns"),
            LiveSetting("max_sessions", self.sessions, "max_sessions"),
            LiveSetting("default_deadline_s", self.runner, "default_deadline_s"),
            LiveSetting("drain_grace_s", self, "drain_grace_s"),
            LiveSetting("exit_when_idle_s", self, "exit_when_idle_s"),
        )
        return ConsoleTown(self.runner, self.library, self._dialogue, self._personas, self._stats, settings)


def _left_open(pictures: PictureSettings) -> PictureWish:
    """What a story's pictures are like where its request does not say."""
    return PictureWish(
        width=pictures.width, height=pictures.height, style=pictures.style, negative_prompt=pictures.negative_prompt
    )


SERVER_OPTIONS = [
    ("grpc.so_reuseport", 0),  # else a second daemon would silently share the port with the first
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    # a game may ping an idle connection as often as it likes; by default the third ping within minutes ends it
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # and a client whose machine vanished must not hold its turns for ever
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]
