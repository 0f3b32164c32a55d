// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "TownsfolkAsyncAction.h"
#include "TownsfolkTypes.h"

#include "TownsfolkSayAction.generated.h"

// One signature for all outputs of a node: its pins are made from the first one. They are named unlike its inputs, as
// pins are found by name.
DECLARE_DYNAMIC_MULTICAST_DELEGATE_FourParams(FTownsfolkSayOutput, const FString&, Spoken, const FString&,
	ActionArguments, const FTownsfolkLine&, Line, const FTownsfolkError&, Error);

/** The latent node Say. */
UCLASS()
class TOWNSFOLK_API UTownsfolkSayAction : public UTownsfolkAsyncAction
{
	GENERATED_BODY()

public:
	/** Asks a persona for one line, in an open session or, with no session, for one that is not remembered. Cancelling the
	 * node cancels the line. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk",
		meta = (BlueprintInternalUseOnly = "true", WorldContext = "WorldContextObject", DisplayName = "Say",
			AdvancedDisplay = "Situation,DeadlineSeconds,Priority"))
	static UTownsfolkSayAction* Say(UObject* WorldContextObject, const FString& PersonaId, const FString& Text,
		const FString& SessionId, const FString& Situation, float DeadlineSeconds = 0.0f,
		ETownsfolkPriority Priority = ETownsfolkPriority::Normal);

	/** Fires for every piece of the line as it arrives; Spoken is the piece alone. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkSayOutput OnSpeechDelta;

	/** Fires when the persona shows an emotion; Spoken is its name. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkSayOutput OnEmotion;

	/** Fires when the persona does something; Spoken is the action's name, ActionArguments a JSON object. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkSayOutput OnAction;

	/** Fires once when the line has ended; Spoken and Line hold all of it. Nothing follows. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkSayOutput OnFinished;

	/** Fires once if the line failed; Error says why. Nothing follows. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkSayOutput OnFailed;

	virtual void Activate() override;

private:
	void HandleEvent(const townsfolk_event& Event);
	void Fail(const FTownsfolkError& Error);

	FTownsfolkSay Asked;
};
