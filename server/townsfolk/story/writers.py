"""Who writes the parts of a story, and what the engine is asked for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from townsfolk.dialogue.plan import LinePlan
from townsfolk.dialogue.prompt import Exchange, PromptBuilder
from townsfolk.dialogue.request import SamplingOverrides, merged_sampling
from townsfolk.engine.messages import AdapterRef
from townsfolk.errors import FailedPrecondition, InvalidArgument, NotFound, TownsfolkError, from_status
from townsfolk.personas.library import LoadedPersona, PersonaLibrary
from townsfolk.story.concept import EXAMPLES, INVENTING, INVENTOR, MAX_CONCEPT_TOKENS, SCHEMA, Concept
from townsfolk.story.events import Part
from townsfolk.story.request import StoryRequest

STORY_WRITER = "story_writer"
PICTURE_PROMPTER = "picture_prompter"
TELLING = "Tell a short story from these notes, in your own voice."  # to a character, who was not trained for it
TOKENS_PER_WORD = 1.6  # of English, with room to spare; other languages take more
ROOM_TO_END = 40  # tokens for the last sentence to come to its end
MOST_TOKENS = 2048
SEEDS = 2**64


@dataclass(frozen=True, slots=True)
class Text:
    """One text to be written: which part it is, by whom, and what the engine is asked. ``index`` counts prompts."""

    part: Part
    plan: LinePlan
    index: int = 0
    persona_id: str = ""

    @property
    def adapter_digest(self) -> str:
        return self.plan.adapter.digest if self.plan.adapter else ""


@dataclass(frozen=True, slots=True)
class Writers:
    """The personas of one story, all of them usable."""

    narrator: LoadedPersona
    prompter: LoadedPersona
    cast: tuple[LoadedPersona, ...]
    base_model: bool

    @property
    def adapters(self) -> list[AdapterRef]:
        """What has to be resident before they write."""
        found = [] if self.base_model else [self.narrator.adapter, self.prompter.adapter]
        return [adapter for adapter in found if adapter is not None]


def find_writers(request: StoryRequest, library: PersonaLibrary) -> Writers:
    """The personas that a story needs; touches the disk.

    Raises ``NotFound`` or ``InvalidArgument`` for a persona that is not there or broken, ``FailedPrecondition`` for a
    writer without an adapter, unless the base model was asked for.
    """
    narrator_id = request.narrator_id or STORY_WRITER
    return Writers(
        _writer(library, narrator_id, "narrator_persona_id" if request.narrator_id else "", request.base_model),
        _writer(library, PICTURE_PROMPTER, "", request.base_model),
        tuple(_persona(library, who, f"cast_persona_ids[{at}]") for at, who in enumerate(request.cast_ids)),
        request.base_model,
    )


def concept_text(request: StoryRequest, writers: Writers, prompts: PromptBuilder) -> Text:
    """The first pass: the base model, under the grammar of a concept."""
    asked = replace(request.sampling, max_tokens=MAX_CONCEPT_TOKENS)
    sampling = merged_sampling(INVENTING, asked)
    prompts.check_reply(sampling.max_tokens)
    lines = [f"Idea: {request.idea}"]
    if writers.cast:
        lines.append(f"These appear in it: {' '.join(map(_introduction, writers.cast))}")
    ids = _fitting(prompts, INVENTOR, EXAMPLES, "", "\n".join(lines), sampling.max_tokens, field="idea")
    return Text(Part.CONCEPT, LinePlan(ids, sampling, [], None, json_schema=SCHEMA))


def second_pass(request: StoryRequest, concept: Concept, writers: Writers, prompts: PromptBuilder) -> list[Text]:
    """The story and the pictures' prompts, each with a seed of its own."""
    texts = [_story_text(request, concept, writers, prompts)]
    told = concept.as_told(request.wish)
    for index in range(request.prompts):
        sampling = replace(request.sampling, seed=((request.sampling.seed or 0) + 1 + index) % SEEDS)
        plan = _plan(writers.prompter, writers.base_model, "", told, sampling, prompts)
        texts.append(Text(Part.PICTURE_PROMPT, plan, index, writers.prompter.persona.id))
    return texts


def _story_text(request: StoryRequest, concept: Concept, writers: Writers, prompts: PromptBuilder) -> Text:
    sampling, wishes = request.sampling, [request.wish] if request.wish else []
    if request.target_words:
        wishes.append(f"about {request.target_words} words")
        if sampling.max_tokens is None:
            needed = int(request.target_words * TOKENS_PER_WORD) + ROOM_TO_END
            sampling = replace(sampling, max_tokens=min(needed, MOST_TOKENS))
    narrator = writers.narrator
    situation = "" if narrator.persona.kind == "task" else TELLING
    plan = _plan(narrator, writers.base_model, situation, concept.as_told(", ".join(wishes)), sampling, prompts)
    return Text(Part.STORY, plan, persona_id=narrator.persona.id)


def _plan(
    writer: LoadedPersona,
    base_model: bool,
    situation: str,
    told: str,
    asked: SamplingOverrides,
    prompts: PromptBuilder,
) -> LinePlan:
    sampling = merged_sampling(writer.persona.sampling, asked)
    prompts.check_reply(sampling.max_tokens)
    ids = _fitting(prompts, writer.persona.system, [], situation, told, sampling.max_tokens, field="concept")
    return LinePlan(ids, sampling, writer.persona.stop, None if base_model else writer.adapter)


def _fitting(
    prompts: PromptBuilder,
    system: str,
    history: Sequence[Exchange],
    situation: str,
    told: str,
    max_tokens: int,
    *,
    field: str,
) -> list[int]:
    try:
        return prompts.build(system, history, situation, told, max_tokens=max_tokens)
    except InvalidArgument as error:
        raise InvalidArgument(error.message, field=field) from error


def _writer(library: PersonaLibrary, persona_id: str, field: str, base_model: bool) -> LoadedPersona:
    loaded = _persona(library, persona_id, field)
    if not base_model and loaded.usable_adapter() is None:
        raise FailedPrecondition(
            f"{persona_id} has no adapter for {library.model_name}; make one with `townsfolk train {persona_id}`, or "
            "ask for the base model alone",
            field=field,
        )
    return loaded


def _persona(library: PersonaLibrary, persona_id: str, field: str) -> LoadedPersona:
    try:
        return library.get(persona_id)
    except NotFound as error:
        if field:
            raise NotFound(error.message, field=field) from error
        raise FailedPrecondition(
            f"stories need the persona {persona_id}, which comes with Townsfolk; add its folder to personas.folders"
        ) from error
    except TownsfolkError as error:
        raise from_status(error.status, error.message, field=field) from error


def _introduction(loaded: LoadedPersona) -> str:
    summary = loaded.persona.summary.strip()
    return f"{loaded.persona.name}, {summary}" if summary else f"{loaded.persona.name}."
