// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "townsfolk_client.h"

#include <deque>
#include <memory>
#include <string>
#include <vector>

/** An event that owns its texts. */
struct FFakeEvent
{
	FFakeEvent(townsfolk_event_kind Kind, townsfolk_request Request, std::string InText = "")
		: Text(std::move(InText))
	{
		Event.kind = Kind;
		Event.request = Request;
	}

	FFakeEvent& Last()
	{
		Event.last = 1;
		return *this;
	}

	townsfolk_event Event = {};
	std::string Text;
	std::string TurnId;
	std::string SessionId;
	std::string PersonaId;
	std::string Json;
	std::string Field;
	std::string FallbackReason;
	std::vector<townsfolk_completion> Completions;
};

/**
 * Stands in for the shared library: notes what was asked of it, hands out the events that a test puts in. An event dies
 * with the next poll, as the interface says, so that AddressSanitizer finds whoever keeps it.
 */
class FFakeTown
{
public:
	/** The library has one of these; a test begins with Reset. */
	static FFakeTown& Get();

	void Reset() { *this = FFakeTown(); }

	void Push(FFakeEvent Event) { Events.push_back(std::make_unique<FFakeEvent>(std::move(Event))); }

	/** A call to the library, such as "say dwarf_smith 'Hello.' in s1". */
	townsfolk_request Note(std::string Call);

	/** Number of the request that the latest call made. */
	townsfolk_request Latest() const { return LastNumber; }

	std::vector<std::string> Calls;
	uint32_t AbiVersion = TOWNSFOLK_ABI_VERSION;
	std::string LastError;
	bool bRefusesConnect = false;
	bool bRefusesRequests = false;
	int OpenClients = 0;
	std::deque<std::unique_ptr<FFakeEvent>> Events;
	std::unique_ptr<FFakeEvent> HandedOut;

private:
	townsfolk_request LastNumber = 0;
};
