// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Townsfolk/Core/TokenShading.h"
#include "townsfolk_client.h"

#include <string>
#include <vector>

namespace Townsfolk
{
/** How one variant of a comparison speaks the line. */
struct FVariantAnswer
{
	std::string Line;
	FTokenRuns Runs;
	townsfolk_turn_stats Stats = {};
	std::string Error;
	bool bStarted = false;
	bool bAdapterApplied = false;
	bool bEnded = false;
};

/** The answers of all variants of a comparison, side by side. */
class FComparison
{
public:
	explicit FComparison(size_t VariantCount)
		: Variants(VariantCount)
	{
	}

	/** Takes an event of the comparison. An error of the whole ends every variant that still runs. */
	void Take(const townsfolk_event& Event)
	{
		if (Event.last != 0)
		{
			for (FVariantAnswer& Variant : Variants)
			{
				if (!Variant.bEnded && Event.kind == TOWNSFOLK_EVENT_ERROR)
				{
					Variant.Error = Event.text;
				}
				Variant.bEnded = true;
			}
		}
		else if (Event.variant >= 0 && static_cast<size_t>(Event.variant) < Variants.size())
		{
			TakeOf(Variants[static_cast<size_t>(Event.variant)], Event);
		}
	}

	const std::vector<FVariantAnswer>& Answers() const { return Variants; }

	bool HasEnded() const
	{
		return std::all_of(Variants.begin(), Variants.end(), [](const FVariantAnswer& Each) { return Each.bEnded; });
	}

private:
	static void TakeOf(FVariantAnswer& Variant, const townsfolk_event& Event)
	{
		switch (Event.kind)
		{
		case TOWNSFOLK_EVENT_STARTED:
			Variant.bStarted = true;
			Variant.bAdapterApplied = Event.adapter_applied != 0;
			break;
		case TOWNSFOLK_EVENT_SPEECH_DELTA:
			Variant.Line += Event.text;
			for (size_t Index = 0; Index < Event.token_probability_count; ++Index)
			{
				Variant.Runs.Add(Event.tokens[Index]);
			}
			break;
		case TOWNSFOLK_EVENT_FINISHED:
			// Its tokens never became text: they are left out.
			Variant.Line = Event.text;
			Variant.Stats = Event.stats;
			Variant.bEnded = true;
			break;
		case TOWNSFOLK_EVENT_ERROR:
			Variant.Error = Event.text;
			Variant.bEnded = true;
			break;
		default:
			break;
		}
	}

	std::vector<FVariantAnswer> Variants;
};
} // namespace Townsfolk
