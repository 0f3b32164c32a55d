// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "Subsystems/GameInstanceSubsystem.h"
#include "TownsfolkTypes.h"

#include "TownsfolkSubsystem.generated.h"

class FTownsfolkConnection;

DECLARE_DYNAMIC_MULTICAST_DELEGATE_TwoParams(
	FTownsfolkConnectionChanged, ETownsfolkConnectionState, State, const FString&, Message);
DECLARE_DYNAMIC_MULTICAST_DELEGATE(FTownsfolkPersonasChanged);

/** The game's connection to the daemon. It lives as long as the game instance, so a change of map keeps it. */
UCLASS()
class TOWNSFOLK_API UTownsfolkSubsystem : public UGameInstanceSubsystem
{
	GENERATED_BODY()

public:
	/** The subsystem of the object's game, or null outside of one. */
	static UTownsfolkSubsystem* Get(const UObject* WorldContextObject);

	virtual void Initialize(FSubsystemCollectionBase& Collection) override;
	virtual void Deinitialize() override;

	/** Connects by the project settings, unless connected already. Components and nodes do so by themselves. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk")
	void Connect();

	/** Ends every line and closes the connection. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk")
	void Disconnect();

	UFUNCTION(BlueprintPure, Category = "Townsfolk")
	ETownsfolkConnectionState GetConnectionState() const;

	/** Why the connection is in its state, in one sentence; may be empty. */
	UFUNCTION(BlueprintPure, Category = "Townsfolk")
	FString GetConnectionMessage() const;

	/** The daemon's personas; empty until they were listed. */
	UFUNCTION(BlueprintPure, Category = "Townsfolk")
	TArray<FTownsfolkPersona> GetPersonas() const;

	/** Fires when the connection's state has changed, such as to Ready. */
	UPROPERTY(BlueprintAssignable, Category = "Townsfolk")
	FTownsfolkConnectionChanged OnConnectionChanged;

	/** Fires when the daemon's personas were listed: after each connecting and when they were asked for again. */
	UPROPERTY(BlueprintAssignable, Category = "Townsfolk")
	FTownsfolkPersonasChanged OnPersonasChanged;

	/** The connection, made if there is none. */
	TSharedRef<FTownsfolkConnection> GetConnection();

private:
	void HandleStateChanged();
	void HandlePersonasChanged();

	TSharedPtr<FTownsfolkConnection> Connection;
};
