// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "TownsfolkAsyncAction.h"
#include "TownsfolkStoryTypes.h"

#include "TownsfolkComposeStoryAction.generated.h"

class UTexture2D;

// One signature for all outputs, and other names than the inputs have; see UTownsfolkSayAction. Composed is the story as
// far as it has come.
DECLARE_DYNAMIC_MULTICAST_DELEGATE_SixParams(FTownsfolkStoryOutput, ETownsfolkStoryPart, Part, const FString&, Written,
	float, Fraction, UTexture2D*, Picture, const FTownsfolkStory&, Composed, const FTownsfolkError&, Error);

/** The latent node Compose Story. */
UCLASS()
class TOWNSFOLK_API UTownsfolkComposeStoryAction : public UTownsfolkAsyncAction
{
	GENERATED_BODY()

public:
	/** Writes a short story and has it illustrated, such as a book of the game. Cancelling the node stops everything. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk",
		meta = (BlueprintInternalUseOnly = "true", WorldContext = "WorldContextObject", DisplayName = "Compose Story",
			AutoCreateRefTerm = "Request"))
	static UTownsfolkComposeStoryAction* ComposeStory(
		UObject* WorldContextObject, const FTownsfolkStoryRequest& Request);

	/** Fires when a part begins; Part says which. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkStoryOutput OnPartStarted;

	/** Fires for every piece of a text as it arrives; Written is the piece alone, Part says of what. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkStoryOutput OnTextDelta;

	/** Fires when a text is done or a picture was drawn; Written is all of the text. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkStoryOutput OnPartFinished;

	/** Fires while a picture is drawn; Fraction goes from 0 to 1. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkStoryOutput OnPictureProgress;

	/** Fires when a picture is here; Written is what it was drawn from. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkStoryOutput OnPicture;

	/** Fires when a picture failed; Error says why, and the story goes on without it. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkStoryOutput OnPictureFailed;

	/** Fires once when everything is done; Written and Composed hold all of it. Nothing follows. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkStoryOutput OnFinished;

	/** Fires once if the story failed; Error says why. Nothing follows. */
	UPROPERTY(BlueprintAssignable)
	FTownsfolkStoryOutput OnFailed;

	virtual void Activate() override;

private:
	void HandleEvent(const townsfolk_event& Event);
	void HandleStory(const townsfolk_event& Event, const townsfolk_story& Told);
	void ShowPicture(const townsfolk_event& Event, const FString& Prompt);
	void Tell(const FTownsfolkStoryOutput& Output, ETownsfolkStoryPart Part, const FString& Written,
		float Fraction = 0.0f, UTexture2D* Picture = nullptr, const FTownsfolkError& Error = FTownsfolkError());
	void Fail(const FTownsfolkError& Error);

	FTownsfolkStoryRequest Asked;

	/** Keeps the pictures from being collected. */
	UPROPERTY()
	FTownsfolkStory Story;
};
