// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Containers/Ticker.h"
#include "CoreMinimal.h"
#include "TownsfolkTypes.h"

#include "Townsfolk/Core/Connection.h"

class FTownsfolkConsole;
class UTownsfolkSettings;

/** Takes an event of a request, on the game thread. The event is valid within the call only. */
DECLARE_DELEGATE_OneParam(FTownsfolkEventDelegate, const townsfolk_event&);

/**
 * A connection to the daemon, polled on the game thread by the engine's ticker. The game has one, in UTownsfolkSubsystem,
 * and the editor another. Requests are made through FTownsfolkRequests.
 */
class TOWNSFOLK_API FTownsfolkConnection : public TSharedFromThis<FTownsfolkConnection>
{
public:
	/** Connects in the background. */
	static TSharedRef<FTownsfolkConnection> Open(const UTownsfolkSettings& Settings);

	~FTownsfolkConnection();

	/** Cancels everything and closes, within 100 ms. Every open request still hears of its end. */
	void Close();

	ETownsfolkConnectionState GetState() const { return State; }

	/** Why it is in that state, in one sentence; may be empty. */
	const FString& GetStateMessage() const { return StateMessage; }

	/** The daemon's personas, as last heard. */
	const TArray<FTownsfolkPersona>& GetPersonas() const { return Personas; }

	/** Asks for the personas again. */
	void RefreshPersonas();

	const std::shared_ptr<Townsfolk::FConnection>& GetCore() const { return Core; }
	FTownsfolkConsole& GetConsole() const { return *Console; }

	/** Fires when the state has changed. */
	FSimpleMulticastDelegate OnStateChanged;

	/** Fires when the personas were listed again. */
	FSimpleMulticastDelegate OnPersonasChanged;

private:
	FTownsfolkConnection() = default;

	void Begin(const UTownsfolkSettings& Settings);
	bool Tick(float DeltaSeconds);
	void HandleTold(const townsfolk_event& Event);
	void HandlePersonas(const townsfolk_event& Event);
	void SetState(ETownsfolkConnectionState InState, const FString& Message);

	std::shared_ptr<Townsfolk::FConnection> Core;
	Townsfolk::FOwner Owner;
	TSharedPtr<FTownsfolkConsole> Console;
	FTSTicker::FDelegateHandle Ticker;
	ETownsfolkConnectionState State = ETownsfolkConnectionState::Closed;
	FString StateMessage;
	TArray<FTownsfolkPersona> Personas;
	double BudgetSeconds = 0.001;
};
