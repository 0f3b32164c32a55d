// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "fake_client.h"

struct townsfolk_client
{
	int Alive = 1;
};

FFakeTown& FFakeTown::Get()
{
	static FFakeTown Town;
	return Town;
}

townsfolk_request FFakeTown::Note(std::string Call)
{
	Calls.push_back(std::move(Call));
	return bRefusesRequests ? 0 : ++LastNumber;
}

namespace
{
FFakeTown& Town()
{
	return FFakeTown::Get();
}

std::string OrDash(const char* Text)
{
	return Text != nullptr ? Text : "-";
}

std::string Spoken(const townsfolk_say_options* Options)
{
	return OrDash(Options->persona_id) + " '" + OrDash(Options->text) + "' in " + OrDash(Options->session_id);
}
} // namespace

extern "C"
{
	uint32_t townsfolk_abi_version(void)
	{
		return Town().AbiVersion;
	}

	const char* townsfolk_version(void)
	{
		return "fake";
	}

	const char* townsfolk_last_error(void)
	{
		return Town().LastError.c_str();
	}

	int32_t townsfolk_connect(const townsfolk_options*, townsfolk_client** Client)
	{
		*Client = nullptr;
		if (Town().bRefusesConnect)
		{
			return TOWNSFOLK_INVALID_ARGUMENT;
		}
		++Town().OpenClients;
		*Client = new townsfolk_client;
		return TOWNSFOLK_OK;
	}

	void townsfolk_close(townsfolk_client* Client)
	{
		Town().Calls.push_back("close");
		Town().HandedOut.reset();
		--Town().OpenClients;
		delete Client;
	}

	const townsfolk_event* townsfolk_poll(townsfolk_client*)
	{
		Town().HandedOut.reset();
		if (Town().Events.empty())
		{
			return nullptr;
		}
		Town().HandedOut = std::move(Town().Events.front());
		Town().Events.pop_front();
		FFakeEvent& Fake = *Town().HandedOut;
		townsfolk_event& Event = Fake.Event;
		Event.text = Fake.Text.c_str();
		Event.text_bytes = Fake.Text.size();
		Event.turn_id = Fake.TurnId.c_str();
		Event.session_id = Fake.SessionId.c_str();
		Event.persona_id = Fake.PersonaId.c_str();
		Event.json = Fake.Json.c_str();
		Event.field = Fake.Field.c_str();
		Event.fallback_reason = Fake.FallbackReason.c_str();
		Event.completions = Fake.Completions.data();
		Event.completion_count = Fake.Completions.size();
		return &Event;
	}

	townsfolk_request townsfolk_list_personas(townsfolk_client*)
	{
		return Town().Note("list_personas");
	}

	townsfolk_request townsfolk_open_session(townsfolk_client*, const townsfolk_session_options* Options)
	{
		return Town().Note("open_session " + OrDash(Options->session_id) + " with " + Options->persona_ids[0] +
						   " for " + OrDash(Options->player_name));
	}

	townsfolk_request townsfolk_close_session(townsfolk_client*, const char* SessionId)
	{
		return Town().Note("close_session " + OrDash(SessionId));
	}

	townsfolk_request townsfolk_say(townsfolk_client*, const townsfolk_say_options* Options)
	{
		return Town().Note("say " + Spoken(Options));
	}

	townsfolk_request townsfolk_scene_open(townsfolk_client*)
	{
		return Town().Note("scene_open");
	}

	townsfolk_request townsfolk_scene_say(
		townsfolk_client*, townsfolk_request Scene, const townsfolk_say_options* Options)
	{
		return Town().Note("scene_say " + std::to_string(Scene) + " " + Spoken(Options));
	}

	int32_t townsfolk_scene_close(townsfolk_client*, townsfolk_request Scene)
	{
		Town().Calls.push_back("scene_close " + std::to_string(Scene));
		return 1;
	}

	int32_t townsfolk_cancel(townsfolk_client*, townsfolk_request Request)
	{
		Town().Calls.push_back("cancel " + std::to_string(Request));
		return 1;
	}

	townsfolk_request townsfolk_heard(townsfolk_client*, const char* TurnId, uint32_t Characters)
	{
		return Town().Note("heard " + OrDash(TurnId) + " " + std::to_string(Characters));
	}
}
