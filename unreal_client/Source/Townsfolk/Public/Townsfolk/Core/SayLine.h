// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "townsfolk_client.h"

#include <string>

namespace Townsfolk
{
/** A line to ask for, with text of its own. Empty text and zero mean "not given". */
struct FSayLine
{
	std::string SessionId;
	std::string PersonaId;
	std::string Text;
	std::string Situation;
	int32_t Priority = TOWNSFOLK_PRIORITY_DEFAULT;
	double DeadlineSeconds = 0;
	townsfolk_sampling Sampling = {};

	/** The line as the C interface takes it. Points into this one. */
	townsfolk_say_options Options() const
	{
		townsfolk_say_options Result = {};
		Result.struct_size = sizeof(Result);
		Result.session_id = OrNull(SessionId);
		Result.persona_id = OrNull(PersonaId);
		Result.text = OrNull(Text);
		Result.situation = OrNull(Situation);
		Result.priority = Priority;
		Result.deadline_s = DeadlineSeconds;
		Result.sampling = Sampling;
		return Result;
	}

	/** What the C interface takes for "not given". */
	static const char* OrNull(const std::string& Text) { return Text.empty() ? nullptr : Text.c_str(); }
};
} // namespace Townsfolk
