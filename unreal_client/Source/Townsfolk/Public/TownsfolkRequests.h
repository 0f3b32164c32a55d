// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "TownsfolkConnection.h"
#include "TownsfolkStoryTypes.h"
#include "TownsfolkTypes.h"

/**
 * The requests of one owner, such as a component, a node or a window. Destroying or resetting it cancels them all, and
 * nothing is heard of them any more.
 *
 * Each call returns the request's number. What comes of it goes to the delegate, never within the call; bind it weakly
 * (CreateUObject, CreateSP). Exactly one event has `last` set, also when the request cannot be made.
 */
class TOWNSFOLK_API FTownsfolkRequests
{
public:
	FTownsfolkRequests() = default;
	explicit FTownsfolkRequests(const FTownsfolkConnection& Connection);
	FTownsfolkRequests(FTownsfolkRequests&& Other);
	FTownsfolkRequests& operator=(FTownsfolkRequests&& Other);
	FTownsfolkRequests(const FTownsfolkRequests&) = delete;
	FTownsfolkRequests& operator=(const FTownsfolkRequests&) = delete;
	~FTownsfolkRequests();

	/** Cancels all and leaves the connection. */
	void Reset();

	/** Whether requests can be made: it was made for a connection and not reset since. */
	bool IsValid() const { return Core != nullptr; }

	townsfolk_request ListPersonas(FTownsfolkEventDelegate OnEvent);
	townsfolk_request Say(const FTownsfolkSay& Line, FTownsfolkEventDelegate OnEvent);
	townsfolk_request Compare(const FTownsfolkCompare& Comparison, FTownsfolkEventDelegate OnEvent);
	townsfolk_request Compose(const FTownsfolkStoryRequest& Story, FTownsfolkEventDelegate OnEvent);

	/** Opens a session; an empty id lets the daemon choose one, an empty name leaves the player unknown. */
	townsfolk_request OpenSession(const FString& SessionId, const TArray<FString>& PersonaIds,
		const FString& PlayerName, FTownsfolkEventDelegate OnEvent);
	townsfolk_request CloseSession(const FString& SessionId, FTownsfolkEventDelegate OnEvent);
	townsfolk_request SaveSession(const FString& SessionId, FTownsfolkEventDelegate OnEvent);

	/** An empty id restores under the one it was saved under. */
	townsfolk_request RestoreSession(
		const TArray<uint8>& Save, const FString& SessionId, FTownsfolkEventDelegate OnEvent);

	/** An empty new id lets the daemon choose one. */
	townsfolk_request ForkSession(
		const FString& SessionId, const FString& NewSessionId, FTownsfolkEventDelegate OnEvent);

	/** Runs a line of the daemon's console. */
	townsfolk_request Execute(const FString& Line, FTownsfolkEventDelegate OnEvent);

	/** Asks how a line of the daemon's console can go on at its end. */
	townsfolk_request Complete(const FString& Line, FTownsfolkEventDelegate OnEvent);

	/** The request still ends with its last event. */
	void Cancel(townsfolk_request Number);

private:
	template <typename TStart>
	townsfolk_request Request(FTownsfolkEventDelegate OnEvent, TStart&& Start);

	std::shared_ptr<Townsfolk::FConnection> Core;
	Townsfolk::FOwner Owner;
};
