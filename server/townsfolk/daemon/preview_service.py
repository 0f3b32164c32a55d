"""``PreviewService``: one line in many versions side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import grpc

from townsfolk.daemon.admission import Admission
from townsfolk.daemon.convert import fill_event, sampling_overrides
from townsfolk.dialogue.comparison import Comparison, Variant, VariantKind, checked
from townsfolk.dialogue.events import SpeechDelta, TurnEvent, TurnFinished
from townsfolk.dialogue.outbox import MAX_WAITING_EVENTS, Outbox
from townsfolk.dialogue.preview import PRIORITY, PreviewRunner
from townsfolk.dialogue.running_turn import Turn
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.dialogue.turn import TurnRunner
from townsfolk.engine.messages import TokenLikelihood
from townsfolk.errors import InvalidArgument, TownsfolkError
from townsfolk.v1 import preview_pb2 as pb
from townsfolk.v1.preview_pb2_grpc import PreviewServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

KINDS: dict[int, VariantKind] = {
    pb.VARIANT_KIND_PERSONA: VariantKind.PERSONA,
    pb.VARIANT_KIND_PROMPT_ONLY: VariantKind.PROMPT_ONLY,
    pb.VARIANT_KIND_ADAPTER_ONLY: VariantKind.ADAPTER_ONLY,
    pb.VARIANT_KIND_BASE: VariantKind.BASE,
}


class PreviewService(PreviewServiceServicer):
    """Compares variants of a line.

    Args:
        previews: starts them.
        runner: runs their turns.
        admission: bounds them, with all other turns.
        max_text_bytes: of the player's words, UTF-8.
        max_waiting_events: events that may wait for a slow reader.
    """

    def __init__(
        self,
        previews: PreviewRunner,
        runner: TurnRunner,
        admission: Admission,
        max_text_bytes: int,
        max_waiting_events: int = MAX_WAITING_EVENTS,
    ) -> None:
        self._previews = previews
        self._runner = runner
        self._admission = admission
        self._max_text_bytes = max_text_bytes
        self._max_waiting_events = max_waiting_events

    async def Compare(self, request: pb.CompareRequest, context: Context) -> None:
        """See the API."""
        outbox = Outbox(self._max_waiting_events)
        try:
            turns = await self._start(comparison_of(request), outbox, context.time_remaining())
        except TownsfolkError:
            self._runner.registry.counts.failed += len(request.variants)
            raise
        try:
            tokenizer = self._runner.prepare().tokenizer
            voices = {turn.id: _Voice(index, turn, tokenizer) for index, turn in enumerate(turns)}
            running = len(turns)
            while running:
                for event in await outbox.take():
                    await context.write(voices[event.turn_id].response(event))
                    running -= event.last
        finally:
            for turn in turns:
                turn.cancel()  # does nothing to those that have ended; else the client is gone

    async def _start(self, asked: Comparison, outbox: Outbox, call_deadline_s: float | None) -> list[Turn]:
        comparison = checked(asked, self._max_text_bytes)
        try:
            tickets = self._admission.admit_all(len(comparison.variants), PRIORITY)
        except InvalidArgument as error:
            raise InvalidArgument(error.message, field="variants") from error
        releases = [ticket.release for ticket in tickets]
        try:
            return await self._previews.start(comparison, outbox, call_deadline_s=call_deadline_s, on_end=releases)
        except BaseException:
            for release in releases:
                release()
            raise


class _Voice:
    """Makes the responses of one variant; counts its tokens on the way."""

    def __init__(self, index: int, turn: Turn, tokenizer: TextTokenizer) -> None:
        self._index = index
        self._turn = turn
        self._tokenizer = tokenizer
        self._position = 0

    def response(self, event: TurnEvent) -> pb.CompareResponse:
        response = pb.CompareResponse(variant_index=self._index)
        fill_event(response.event, event)
        response.tokens.extend(self._tokens(self._likelihoods(event)))
        return response

    def _likelihoods(self, event: TurnEvent) -> Sequence[TokenLikelihood]:
        if isinstance(event.what, SpeechDelta):
            likelihoods, event.what.likelihoods = event.what.likelihoods, ()  # the turn's record holds on to the delta
            return likelihoods
        if isinstance(event.what, TurnFinished) and self._turn.line is not None:
            return self._turn.line.unspoken
        return ()

    def _tokens(self, likelihoods: Sequence[TokenLikelihood]) -> Iterator[pb.TokenProbability]:
        for likelihood in likelihoods:
            candidates = zip(likelihood.candidate_ids, likelihood.candidate_log_probabilities, strict=True)
            yield pb.TokenProbability(
                position=self._position,
                sampled=self._candidate(likelihood.token_id, likelihood.log_probability),
                candidates=[self._candidate(token_id, value) for token_id, value in candidates],
            )
            self._position += 1

    def _candidate(self, token_id: int, log_probability: float) -> pb.TokenCandidate:
        return pb.TokenCandidate(
            token_id=token_id, piece=self._tokenizer.piece(token_id), log_probability=log_probability
        )


def comparison_of(request: pb.CompareRequest) -> Comparison:
    """What a ``CompareRequest`` asks for. A kind that is not known counts as a persona."""
    return Comparison(
        text=request.text,
        variants=tuple(_variant(variant) for variant in request.variants),
        situation=request.situation,
        sampling=sampling_overrides(request.sampling),
        session_id=request.session_id,
        top_tokens=request.top_tokens,
    )


def _variant(variant: pb.Variant) -> Variant:
    return Variant(
        persona_id=variant.persona_id,
        kind=KINDS.get(variant.kind, VariantKind.PERSONA),
        label=variant.label,
        adapter_scale=variant.adapter_scale if variant.HasField("adapter_scale") else None,
        system_prompt=variant.system_prompt if variant.HasField("system_prompt") else None,
        sampling=sampling_overrides(variant.sampling),
    )
