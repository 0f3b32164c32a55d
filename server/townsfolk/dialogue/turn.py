"""One turn from request to events, and all turns that run.

Every turn is a task of its own, but sleeps while its line is spoken: a token goes from the engine's pipe through a
``_Listener`` into the ``Outbox`` in one call. Cancel, deadline, disconnect, slow reader and engine crash all surface as
an exception in the task, so there is one place that frees the engine's line, remembers what was said and sends the last
event, exactly once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

from townsfolk.dialogue.cues import cue_sheet, decide_cues
from townsfolk.dialogue.events import (
    FallbackReason,
    FinishReason,
    Happening,
    SpeechDelta,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from townsfolk.dialogue.fallback import FallbackLines, reason_of
from townsfolk.dialogue.line import SpokenLine
from townsfolk.dialogue.outbox import Outbox
from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.prompt import Exchange, PromptBuilder
from townsfolk.dialogue.request import (
    TurnRequest,
    check_deadline,
    clean_words,
    merged_sampling,
    merged_stops,
)
from townsfolk.dialogue.running_turn import Turn
from townsfolk.dialogue.saves import turns_with_doubtful_tokens
from townsfolk.dialogue.session import PastTurn, Session, SessionStore, check_id
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.dialogue.trace import TraceLog
from townsfolk.dialogue.turn_registry import TurnRegistry
from townsfolk.engine.interface import Engine
from townsfolk.engine.messages import (
    AdapterRef,
    Finished,
    Ready,
    Started,
    Step,
    TokenLikelihood,
)
from townsfolk.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    TownsfolkError,
    Unavailable,
)
from townsfolk.personas.library import PersonaLibrary

log = logging.getLogger(__name__)

LAST_EVENT_S = 0.1  # of a call's own deadline, at most a tenth of it: for the last event to arrive within it
ENGINE_RETRY_S = 1.0  # a crashed engine with a small model is back after about a second


class _StopSpoken(Exception):
    """The line has come to a stop string."""


class _Listener:
    """Makes a turn's events of what the engine tells about its line."""

    def __init__(self, turn: Turn, line: SpokenLine, adapter: AdapterRef | None) -> None:
        self._turn = turn
        self._line = line
        self._digest = adapter.digest if adapter else ""

    def started(self, started: Started) -> None:
        """See ``LineListener``."""
        self._turn.meter.admitted(started)
        self._turn.adapter_digest = self._digest
        self._turn.emit(TurnStarted(self._digest, started.prompt_tokens, started.cached_tokens))

    def sampled(self, token_id: int, step: Step, likelihood: TokenLikelihood | None = None) -> None:
        """See ``LineListener``. Raises ``_StopSpoken`` at a stop string, and what a full outbox raises."""
        self._turn.meter.sampled(step)
        delta = self._line.push(token_id, step.sampled_unix_ns, likelihood)
        if delta is not None:
            self._turn.say(delta)
        if self._line.finished_by_stop:
            raise _StopSpoken

    def finish(self, finished: Finished) -> None:
        """The engine made the line to its end: say what was held back."""
        delta = self._line.finish(finished.stop_token)
        if delta is not None:
            self._turn.say(delta)


class TurnRunner:
    """Runs turns on an engine.

    Args:
        engine: computes the lines.
        library: of the personas.
        sessions: that turns may belong to.
        max_text_bytes: of the player's words, UTF-8.
        default_deadline_s: for requests that come with none.
    """

    def __init__(
        self,
        engine: Engine,
        library: PersonaLibrary,
        sessions: SessionStore,
        *,
        max_text_bytes: int = 16_384,
        default_deadline_s: float = 120.0,
    ) -> None:
        self.registry = TurnRegistry()
        self.traces = TraceLog()
        self.sessions = sessions
        self._engine = engine
        self._library = library
        self._max_text_bytes = max_text_bytes
        self.default_deadline_s = default_deadline_s
        self._prompts: tuple[Ready, PromptBuilder] | None = None
        self._fallback_lines = FallbackLines()

    def start(
        self,
        request: TurnRequest,
        outbox: Outbox,
        *,
        call_deadline_s: float | None = None,
        on_end: Callable[[], None] = lambda: None,
        refusal: TownsfolkError | None = None,
        plan: LinePlan | None = None,
    ) -> Turn:
        """Start a turn whose events go to ``outbox``; ``on_end`` is called after the last one.

        With a ``plan`` the engine is asked exactly that, whatever prompt the request would have made.
        ``call_deadline_s`` is what is left of the caller's own deadline. A request that cannot become a turn raises
        ``InvalidArgument`` or ``NotFound``; everything else that goes wrong becomes the turn's last event. With a
        ``refusal`` the engine is not asked: a fallback line is all that the turn can speak.
        """
        turn_id = request.turn_id or secrets.token_hex(16)
        check_id(turn_id, "turn_id")
        self.registry.check_free(turn_id)
        check_deadline(request.deadline_s)
        text, situation = clean_words(request, self._max_text_bytes)
        session = self.sessions.get(request.session_id) if request.session_id else None
        if session is None and not request.persona_id:
            raise InvalidArgument("a line without a session needs a persona_id", field="persona_id")
        persona_id = session.speaker(request.persona_id) if session else request.persona_id
        seconds = self._seconds(request.deadline_s, call_deadline_s)
        if session is not None and refusal is None:
            self.registry.cancel_abandoned(session, persona_id)
        turn = Turn(
            turn_id,
            persona_id,
            session,
            outbox,
            on_end,
            text=text,
            situation=situation,
            refusal=refusal,
            may_fall_back=plan is None,
            priority=request.priority,
            deadline_s=seconds,
            asked_stops=request.sampling.stop,
            plan=plan,
        )
        self._begin(turn, partial(self._speak, turn, request), seconds)
        return turn

    def start_planned(self, turn: Turn, plan: LinePlan, *, priority: int, call_deadline_s: float | None) -> None:
        """Start a turn of no session, whose plan is made already. Turns started in a row reach the engine together."""
        turn.plan, turn.priority, turn.deadline_s = plan, priority, self._seconds(0.0, call_deadline_s)
        turn.line = SpokenLine(self.prepare().tokenizer, plan.stops)
        self._begin(turn, partial(self._generate, turn, turn.line, plan, priority), turn.deadline_s)

    async def speak(
        self, request: TurnRequest, *, call_deadline_s: float | None = None
    ) -> AsyncGenerator[TurnEvent, None]:
        """One turn's events; the last one ends the generator. Closing it early cancels the turn."""
        outbox = Outbox()
        turn = self.start(request, outbox, call_deadline_s=call_deadline_s)
        try:
            while events := await outbox.take():
                for event in events:
                    yield event
                    if event.last:
                        return
        finally:
            turn.cancel()

    def prepare(self) -> PromptBuilder:
        """The prompt builder of the model that the engine runs; making it takes up to a second.

        Raises ``Unavailable`` before the engine has started, ``InvalidArgument`` for a model without a known template.
        """
        info = self._engine.info
        if self._prompts is None or not _same_model(self._prompts[0], info):
            self._library.use_model(info.model_name)
            builder = PromptBuilder(TextTokenizer(info.tokenizer_json), info.family, info.max_context)
            self._prompts = (info, builder)
        return self._prompts[1]

    def _seconds(self, deadline_s: float, call_deadline_s: float | None) -> float:
        """How long a line may take: the earlier of its own deadline and its call's."""
        limits = [deadline_s] if deadline_s else []
        if call_deadline_s is not None:
            limits.append(call_deadline_s - min(LAST_EVENT_S, call_deadline_s / 10))
        return min(limits, default=self.default_deadline_s)

    # ── one turn ─────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, turn: Turn, speak: Callable[[], Awaitable[FinishReason]], seconds: float) -> None:
        self.registry.add(turn)
        turn.task = asyncio.create_task(self._run(turn, speak, seconds), name=f"turn {turn.id}")

    async def _run(self, turn: Turn, speak: Callable[[], Awaitable[FinishReason]], seconds: float) -> None:
        """The turn's task: whatever happens, it ends with exactly one last event."""
        last: Happening
        try:
            turn.begin()
            last = await self._outcome(turn, speak, seconds)
        except asyncio.CancelledError:
            last = TurnFinished(FinishReason.CANCELLED, turn.spoken, turn.meter.stats())
        turn.end(last)
        # a client that was refused may ask again under the same id
        refused = turn.refusal is not None and isinstance(last, TurnFailed)
        self.registry.remove(turn, last, keep=turn.kept and not refused)
        if turn.kept:
            self.traces.keep(turn, last)

    async def _outcome(self, turn: Turn, speak: Callable[[], Awaitable[FinishReason]], seconds: float) -> Happening:
        """Speak the line, or what stands in for it. Returns the turn's last event."""
        scope = asyncio.timeout(seconds)
        try:
            if turn.refusal is not None:
                raise turn.refusal
            async with scope:
                reason = await speak()
            return TurnFinished(reason, turn.spoken, turn.meter.stats())
        except TownsfolkError as error:
            return await self._instead(turn, error)
        except Exception as error:
            if isinstance(error, TimeoutError) and scope.expired():
                if turn.spoken:
                    reason = turn.line_ended or FinishReason.DEADLINE  # a whole line, of which the cues came too late
                    return TurnFinished(reason, turn.spoken, turn.meter.stats())
                return await self._instead(turn, DeadlineExceeded(f"the line did not begin within its {seconds:.3g} s"))
            log.exception("turn %s of %s failed", turn.id, turn.persona_id)
            message = f"the daemon made a mistake in turn {turn.id}; its log tells more"
            return await self._instead(turn, InternalError(message))

    async def _instead(self, turn: Turn, failure: TownsfolkError) -> TurnFinished | TurnFailed:
        """One of the persona's fallback lines where ``failure`` calls for one and there is one; else the failure."""
        reason = reason_of(failure)
        if reason is None or turn.spoken or not turn.may_fall_back:
            return TurnFailed(failure)
        try:
            loaded = await asyncio.to_thread(self._library.get, turn.persona_id)
            line = self._fallback_lines.choose(loaded.persona.fallback, reason, turn.persona_id, turn.session)
            if line is None:
                return TurnFailed(failure)
            turn.say(SpeechDelta(line, 0))
        except Exception as error:  # then the failure itself is told
            log.warning("turn %s of %s has no fallback line: %s", turn.id, turn.persona_id, error)
            return TurnFailed(failure)
        log.info("turn %s of %s spoke a fallback line (%s): %s", turn.id, turn.persona_id, reason, failure.message)
        finish = FinishReason.DEADLINE if reason is FallbackReason.TIMEOUT else FinishReason.STOP
        return TurnFinished(finish, turn.spoken, turn.meter.stats(), reason)

    async def _speak(self, turn: Turn, request: TurnRequest) -> FinishReason:
        async with AsyncExitStack() as held:
            if turn.session is not None:
                # taken before anything else is waited for, so that lines are spoken in the order they were asked
                await held.enter_async_context(turn.session.turn_lock(turn.persona_id))
            if not self._engine.ready:
                raise Unavailable(
                    "the engine is loading or being started again; try again shortly", retry_after_s=ENGINE_RETRY_S
                )
            if turn.session is not None and turn.session.unchecked:
                await self._check_restored(turn.session)
            history = turn.session.exchanges_of(turn.persona_id) if turn.session else []
            # in a thread, because it reads files and tokenises what may be a long history
            plan = turn.plan
            if plan is None:
                plan = turn.plan = await asyncio.to_thread(self._plan, turn, request, history)
            turn.line = SpokenLine(self.prepare().tokenizer, plan.stops)
            try:
                reason = turn.line_ended = await self._generate(turn, turn.line, plan, request.priority)
                await self._add_cues(turn, turn.line, plan)
                return reason
            finally:
                self._remember(turn)

    async def _check_restored(self, session: Session) -> None:
        """Trust no tokens of a save that say anything but its words: it may be forged, or made with another model."""
        prompts = await asyncio.to_thread(self.prepare)
        history = session.history[:]
        session.forget_tokens_of(await asyncio.to_thread(turns_with_doubtful_tokens, history, prompts.tokenizer))
        session.unchecked = False

    def _plan(self, turn: Turn, request: TurnRequest, history: list[Exchange]) -> LinePlan:
        prompts = self.prepare()
        loaded = self._library.get(turn.persona_id)
        sampling = merged_sampling(loaded.persona.sampling, request.sampling)
        stops = merged_stops(loaded.persona.stop, request.sampling.stop)
        adapter = loaded.usable_adapter()
        prompts.check_reply(sampling.max_tokens)
        system = system_prompt(loaded.persona.system, turn.session.player_name if turn.session else "")
        if request.with_cues:
            turn.cue_sheet = cue_sheet(loaded.persona, system)
        if turn.cue_sheet is not None:
            self._check_guides()
        prompt = prompts.fit(system, history, turn.situation, turn.text, max_tokens=sampling.max_tokens)
        return LinePlan(prompt.ids, sampling, stops, adapter, prompt.history)

    async def _generate(self, turn: Turn, line: SpokenLine, plan: LinePlan, priority: int) -> FinishReason:
        stop_ids = self.prepare().stop_ids
        turn.meter.asked()
        listener = _Listener(turn, line, plan.adapter)
        try:
            finished = await self._engine.generate(
                list(plan.prompt),
                plan.sampling,
                stop_ids,
                listener,
                plan.adapter,
                priority,
                plan.top_tokens,
                plan.json_schema,
            )
        except _StopSpoken:
            return FinishReason.STOP
        if finished.reason == "cancelled":  # the engine gave the line up by itself, while it was stopped
            raise Unavailable("the engine stopped before the line was spoken")
        listener.finish(finished)
        return FinishReason(finished.reason)

    def _check_guides(self) -> None:
        """Say before the first word that there can be no cues. An engine that does not tell is asked all the same."""
        able = self._engine.info.capabilities
        if able is not None and not able.guided_decoding:
            raise FailedPrecondition(
                "cues need an engine that holds lines to a JSON schema, and this one does not; ask without with_cues",
                field="with_cues",
            )

    async def _add_cues(self, turn: Turn, line: SpokenLine, plan: LinePlan) -> None:
        """Emotion and action after a line that is asked to have them. What goes wrong costs the cues, not the line."""
        if turn.cue_sheet is None or not turn.spoken:
            return
        exchange = Exchange(turn.situation, turn.text, turn.spoken, line.reply_ids)
        try:
            for cue in await decide_cues(self._engine, self.prepare(), turn.cue_sheet, plan, exchange, turn.priority):
                turn.emit(cue)
        except TownsfolkError as error:
            log.warning("turn %s of %s has no cues: %s", turn.id, turn.persona_id, error.message)
        except Exception:
            log.exception("turn %s of %s has no cues", turn.id, turn.persona_id)

    @staticmethod
    def _remember(turn: Turn) -> None:
        """Put what was said into the history, while the next turn of this persona still waits for it."""
        spoken = turn.spoken
        if turn.session is None or turn.line is None or not spoken:
            return
        ids = turn.line.reply_ids if spoken == turn.line.text else ()
        exchange = Exchange(turn.situation, turn.text, spoken, ids)
        said = heard = PastTurn(turn.id, turn.persona_id, exchange, turn.line.complete)
        if turn.heard_characters is not None:
            heard = said.as_heard(turn.heard_characters)
        turn.record.said, turn.record.unheard = said, heard is not said
        turn.session.remember(heard)


def system_prompt(system: str, player_name: str) -> str:
    """The persona's system prompt, with the player's name at its end: what comes before stays the same for everyone."""
    return f"{system.strip()}\nYou are speaking with {player_name}." if player_name else system


def _same_model(known: Ready, now: Ready) -> bool:
    """Whether a restarted engine runs what ran before, so that its tokenizer need not be built again."""
    return known is now or (known.tokenizer_json, known.family, known.max_context, known.model_name) == (
        now.tokenizer_json,
        now.family,
        now.max_context,
        now.model_name,
    )
