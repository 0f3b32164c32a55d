// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkConvert.h"

namespace Townsfolk
{
namespace
{
int32 PriorityFrom(ETownsfolkPriority Priority)
{
	switch (Priority)
	{
	case ETownsfolkPriority::Background:
		return TOWNSFOLK_PRIORITY_BACKGROUND;
	case ETownsfolkPriority::Urgent:
		return TOWNSFOLK_PRIORITY_URGENT;
	default:
		return TOWNSFOLK_PRIORITY_NORMAL;
	}
}
} // namespace

FTownsfolkError ErrorFrom(const townsfolk_event& Event)
{
	return ErrorFrom(Event.status, Event.text, Event.field, Event.retry_after_s);
}

FTownsfolkError ErrorFrom(int32 Status, const std::string& Message, const std::string& Field, double RetryAfterSeconds)
{
	const bool bKnown = Status >= TOWNSFOLK_OK && Status <= TOWNSFOLK_UNAUTHENTICATED;
	FTownsfolkError Error;
	Error.Status = bKnown ? static_cast<ETownsfolkStatus>(Status) : ETownsfolkStatus::Unknown;
	Error.Message = FromUtf8(Message);
	Error.Field = FromUtf8(Field);
	Error.RetryAfterSeconds = static_cast<float>(RetryAfterSeconds);
	return Error;
}

FTownsfolkPersona PersonaFrom(const townsfolk_persona& Persona)
{
	FTownsfolkPersona Result;
	Result.Id = FromUtf8(Persona.id);
	Result.Name = FromUtf8(Persona.name);
	Result.Summary = FromUtf8(Persona.summary);
	Result.bHasAdapter = Persona.has_adapter != 0;
	return Result;
}

ETownsfolkFinishReason FinishReasonFrom(int32 Reason)
{
	switch (Reason)
	{
	case TOWNSFOLK_FINISH_STOP:
		return ETownsfolkFinishReason::Stop;
	case TOWNSFOLK_FINISH_LENGTH:
		return ETownsfolkFinishReason::Length;
	case TOWNSFOLK_FINISH_CANCELLED:
		return ETownsfolkFinishReason::Cancelled;
	case TOWNSFOLK_FINISH_DEADLINE:
		return ETownsfolkFinishReason::Deadline;
	default:
		return ETownsfolkFinishReason::Unknown;
	}
}

ETownsfolkStoryPart StoryPartFrom(int32 Part)
{
	switch (Part)
	{
	case TOWNSFOLK_STORY_PART_CONCEPT:
		return ETownsfolkStoryPart::Concept;
	case TOWNSFOLK_STORY_PART_STORY:
		return ETownsfolkStoryPart::Story;
	case TOWNSFOLK_STORY_PART_PICTURE_PROMPT:
		return ETownsfolkStoryPart::PicturePrompt;
	case TOWNSFOLK_STORY_PART_PICTURE:
		return ETownsfolkStoryPart::Picture;
	default:
		return ETownsfolkStoryPart::Unknown;
	}
}

FTownsfolkStoryConcept StoryConceptFrom(const townsfolk_story_concept& Concept)
{
	FTownsfolkStoryConcept Result;
	Result.Title = FromUtf8(Concept.title);
	Result.Hero = FromUtf8(Concept.hero);
	Result.Conflict = FromUtf8(Concept.conflict);
	Result.Place = FromUtf8(Concept.place);
	return Result;
}

FTownsfolkTurnStats StatsFrom(const townsfolk_turn_stats& Stats)
{
	FTownsfolkTurnStats Result;
	Result.PromptTokens = static_cast<int32>(Stats.prompt_tokens);
	Result.CachedPromptTokens = static_cast<int32>(Stats.cached_prompt_tokens);
	Result.CompletionTokens = static_cast<int32>(Stats.completion_tokens);
	Result.MaxBatchAdapters = static_cast<int32>(Stats.max_batch_adapters);
	Result.TimeToFirstTokenSeconds = static_cast<float>(Stats.time_to_first_token_s);
	Result.TotalSeconds = static_cast<float>(Stats.total_s);
	Result.TokensPerSecond = static_cast<float>(Stats.tokens_per_s);
	return Result;
}

FTownsfolkLine LineFrom(const townsfolk_event& Event)
{
	FTownsfolkLine Line;
	Line.PersonaId = FromUtf8(Event.persona_id);
	Line.Text = FromUtf8(Event.text);
	Line.FinishReason = FinishReasonFrom(Event.finish_reason);
	Line.FallbackReason = FromUtf8(Event.fallback_reason);
	Line.Stats = StatsFrom(Event.stats);
	return Line;
}

FSayLine SayLineFrom(const FTownsfolkSay& Line)
{
	FSayLine Result;
	Result.SessionId = ToUtf8(Line.SessionId);
	Result.PersonaId = ToUtf8(Line.PersonaId);
	Result.Text = ToUtf8(Line.Text);
	Result.Situation = ToUtf8(Line.Situation);
	Result.Priority = PriorityFrom(Line.Priority);
	Result.DeadlineSeconds = Line.DeadlineSeconds;
	Result.Sampling = SamplingFrom(Line.Sampling);
	return Result;
}

townsfolk_sampling SamplingFrom(const FTownsfolkSampling& Sampling)
{
	townsfolk_sampling Result = {};
	const auto Set = [&Result](bool bOverride, uint32 Field)
	{
		Result.set |= bOverride ? Field : 0u;
	};
	Set(Sampling.bOverrideTemperature, TOWNSFOLK_SAMPLING_TEMPERATURE);
	Set(Sampling.bOverrideTopP, TOWNSFOLK_SAMPLING_TOP_P);
	Set(Sampling.bOverrideRepetitionPenalty, TOWNSFOLK_SAMPLING_REPETITION_PENALTY);
	Set(Sampling.bOverrideSeed, TOWNSFOLK_SAMPLING_SEED);
	Set(Sampling.bOverrideMaxTokens, TOWNSFOLK_SAMPLING_MAX_TOKENS);
	Result.temperature = Sampling.Temperature;
	Result.top_p = Sampling.TopP;
	Result.repetition_penalty = Sampling.RepetitionPenalty;
	Result.seed = static_cast<uint64>(Sampling.Seed);
	Result.max_tokens = static_cast<uint32>(FMath::Max(Sampling.MaxTokens, 0));
	return Result;
}
} // namespace Townsfolk
