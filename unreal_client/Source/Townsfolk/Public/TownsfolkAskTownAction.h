// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "TownsfolkAsyncAction.h"
#include "TownsfolkTypes.h"

#include "Townsfolk/Core/TownQuestion.h"

#include "TownsfolkAskTownAction.generated.h"

// One signature for all outputs, and other names than the inputs have; see UTownsfolkSayAction. Lines are the answers
// that have ended so far.
DECLARE_DYNAMIC_MULTICAST_DELEGATE_FourParams(FTownsfolkTownOutput, const FString&, SpeakerId, const FString&, Spoken,
	const TArray<FTownsfolkLine>&, Lines, const FTownsfolkError&, Error);

/** The latent node Ask Town. */
UCLASS()
class TOWNSFOLK_API UTownsfolkAskTownAction : public UTownsfolkAsyncAction
{
	GENERATED_BODY()

public:
	/** Asks many personas the same at once; they answer side by side. No personas named: all that the daemon has, at most
	 * 64. Cancelling the node cancels all answers. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk",
		meta = (BlueprintInternalUseOnly = "true", WorldContext = "WorldContextObject", DisplayName = "Ask Town",
			AutoCreateRefTerm = "PersonaIds", AdvancedDisplay = "Situation,DeadlineSeconds,Priority"))
	static UTownsfolkAskTownAction* AskTown(UObject* WorldContextObject, const TArray<FString>& PersonaIds,
		const FString& Text, const FString& Situation, float DeadlineSeconds = 0.0f,
		ETownsfolkPriority Priority = ETownsfolkPriority::Normal);

	/** Fires for every piece of every answer as it arrives; Spoken is the piece alone. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkTownOutput OnSpeechDelta;

	/** Fires when one persona's answer has ended; Spoken is all of it. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkTownOutput OnLineFinished;

	/** Fires when one persona's answer failed, and once if nobody could be asked at all; Error says why. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkTownOutput OnFailed;

	/** Fires once when every persona has answered or failed; Lines holds the answers. Nothing follows. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkTownOutput OnAllFinished;

	virtual void Activate() override;
	virtual void Cancel() override;

private:
	void HandlePersonas(const townsfolk_event& Event);
	void HandleAnswer(const FString& PersonaId, const townsfolk_event& Event);
	void HandleEnded();
	void Ask();
	void FailAll(const FTownsfolkError& Error);

	TArray<FString> AskedIds;
	FTownsfolkSay Asked;
	TArray<FTownsfolkLine> Answers;
	std::shared_ptr<Townsfolk::FConnection> Core;
	std::shared_ptr<Townsfolk::FTownQuestion> Question;
};
