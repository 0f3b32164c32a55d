// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Townsfolk/Core/Connection.h"
#include "Townsfolk/Core/SayLine.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace Townsfolk
{
/**
 * One line asked of many personas at once, as a scene: they answer in the same batch, on one stream.
 *
 * Destroying it cancels what still runs.
 */
class FTownQuestion : public std::enable_shared_from_this<FTownQuestion>
{
public:
	/** Takes an event of a persona's answer; each answer ends with one FINISHED or ERROR. */
	using FOnAnswer = std::function<void(const std::string& PersonaId, const townsfolk_event&)>;

	/** Most personas asked at once: as many turns as one stream may hold. */
	static constexpr size_t MaxPersonas = 64;

	/** Asks 1 to MaxPersonas personas, no more. OnEnded is called once, after the last answer has ended. */
	static std::shared_ptr<FTownQuestion> Ask(std::shared_ptr<FConnection> Connection,
		const std::vector<std::string>& PersonaIds, const FSayLine& Line, FOnAnswer OnAnswer,
		std::function<void()> OnEnded)
	{
		std::shared_ptr<FTownQuestion> Question(
			new FTownQuestion(std::move(Connection), std::move(OnAnswer), std::move(OnEnded)));
		Question->Begin(PersonaIds, Line);
		return Question;
	}

	FTownQuestion(const FTownQuestion&) = delete;
	FTownQuestion& operator=(const FTownQuestion&) = delete;
	~FTownQuestion() { Connection->RemoveOwner(Owner); }

private:
	FTownQuestion(std::shared_ptr<FConnection> InConnection, FOnAnswer InOnAnswer, std::function<void()> InOnEnded)
		: Connection(std::move(InConnection))
		, OnAnswer(std::move(InOnAnswer))
		, OnEnded(std::move(InOnEnded))
		, Owner(Connection->AddOwner())
	{
	}

	void Begin(const std::vector<std::string>& PersonaIds, const FSayLine& Line)
	{
		const std::weak_ptr<FTownQuestion> Weak = weak_from_this();
		Scene = Connection->Request(
			Owner, [](const townsfolk_event&) { return true; },
			[](townsfolk_client* Client) { return townsfolk_scene_open(Client); });
		for (size_t Index = 0; Index < PersonaIds.size() && Index < MaxPersonas; ++Index)
		{
			FSayLine Asked = Line;
			Asked.PersonaId = PersonaIds[Index];
			++Unanswered;
			Connection->Request(
				Owner,
				[Weak, PersonaId = Asked.PersonaId](const townsfolk_event& Event)
				{
					const std::shared_ptr<FTownQuestion> Self = Weak.lock();
					if (Self)
					{
						Self->Take(PersonaId, Event);
					}
					return Self != nullptr;
				},
				[this, &Asked](townsfolk_client* Client)
				{
					const townsfolk_say_options Options = Asked.Options();
					return townsfolk_scene_say(Client, Scene, &Options);
				});
		}
	}

	void Take(const std::string& PersonaId, const townsfolk_event& Event)
	{
		const bool bLast = Event.last != 0;
		OnAnswer(PersonaId, Event);
		if (bLast && --Unanswered == 0)
		{
			Connection->CloseScene(Scene);
			OnEnded();
		}
	}

	std::shared_ptr<FConnection> Connection;
	FOnAnswer OnAnswer;
	std::function<void()> OnEnded;
	FOwner Owner;
	townsfolk_request Scene = 0;
	size_t Unanswered = 0;
};
} // namespace Townsfolk
