// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "TownsfolkAsyncAction.h"
#include "TownsfolkTypes.h"

#include "TownsfolkSessionAction.generated.h"

// One signature for all outputs, and other names than the inputs have; see UTownsfolkSayAction. Session is the one that
// was opened, copied or meant; SavedBytes are set by Save Session alone.
DECLARE_DYNAMIC_MULTICAST_DELEGATE_ThreeParams(
	FTownsfolkSessionOutput, const FString&, Session, const TArray<uint8>&, SavedBytes, const FTownsfolkError&, Error);

/** The latent nodes that open, close and keep conversations. */
UCLASS()
class TOWNSFOLK_API UTownsfolkSessionAction : public UTownsfolkAsyncAction
{
	GENERATED_BODY()

public:
	/** Opens a conversation with one or more personas. An empty id lets the daemon choose one. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk|Session",
		meta = (BlueprintInternalUseOnly = "true", WorldContext = "WorldContextObject"))
	static UTownsfolkSessionAction* OpenSession(UObject* WorldContextObject, const TArray<FString>& PersonaIds,
		const FString& SessionId, const FString& PlayerName);

	/** Closes a conversation, cancels its lines and forgets it. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk|Session",
		meta = (BlueprintInternalUseOnly = "true", WorldContext = "WorldContextObject"))
	static UTownsfolkSessionAction* CloseSession(UObject* WorldContextObject, const FString& SessionId);

	/** Saves a conversation as bytes for the game's own save file. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk|Session",
		meta = (BlueprintInternalUseOnly = "true", WorldContext = "WorldContextObject"))
	static UTownsfolkSessionAction* SaveSession(UObject* WorldContextObject, const FString& SessionId);

	/** Opens a conversation from saved bytes. An empty id takes the one it was saved under. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk|Session",
		meta = (BlueprintInternalUseOnly = "true", WorldContext = "WorldContextObject"))
	static UTownsfolkSessionAction* RestoreSession(
		UObject* WorldContextObject, const TArray<uint8>& Save, const FString& SessionId);

	/** Opens a copy of a conversation that goes its own way from there. An empty new id lets the daemon choose one. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk|Session",
		meta = (BlueprintInternalUseOnly = "true", WorldContext = "WorldContextObject"))
	static UTownsfolkSessionAction* ForkSession(
		UObject* WorldContextObject, const FString& SessionId, const FString& NewSessionId);

	/** Fires once when it is done. Nothing follows. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkSessionOutput OnDone;

	/** Fires once if it failed; Error says why. Nothing follows. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkSessionOutput OnFailed;

	virtual void Activate() override;

private:
	enum class ECall : uint8
	{
		Open,
		Close,
		Save,
		Restore,
		Fork
	};

	static UTownsfolkSessionAction* Make(UObject* WorldContextObject, ECall InCall, const FString& InId);

	void HandleEvent(const townsfolk_event& Event);

	ECall Call = ECall::Open;
	TArray<FString> Participants;
	FString Id;
	FString NewId;
	FString Player;
	TArray<uint8> Bytes;
};
