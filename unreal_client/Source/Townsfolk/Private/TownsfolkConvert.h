// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "TownsfolkStoryTypes.h"
#include "TownsfolkTypes.h"
#include "TownsfolkUtf8.h"

#include "Townsfolk/Core/SayLine.h"
#include "townsfolk_client.h"

/** From the native client's values to the plugin's types, and back. */
namespace Townsfolk
{
FTownsfolkError ErrorFrom(const townsfolk_event& Event);
FTownsfolkError ErrorFrom(int32 Status, const std::string& Message, const std::string& Field, double RetryAfterSeconds);
FTownsfolkPersona PersonaFrom(const townsfolk_persona& Persona);
ETownsfolkFinishReason FinishReasonFrom(int32 Reason);
ETownsfolkStoryPart StoryPartFrom(int32 Part);
FTownsfolkStoryConcept StoryConceptFrom(const townsfolk_story_concept& Concept);
FTownsfolkTurnStats StatsFrom(const townsfolk_turn_stats& Stats);

/** From an event of kind FINISHED. */
FTownsfolkLine LineFrom(const townsfolk_event& Event);

FSayLine SayLineFrom(const FTownsfolkSay& Line);
townsfolk_sampling SamplingFrom(const FTownsfolkSampling& Sampling);
} // namespace Townsfolk
