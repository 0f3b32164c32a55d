// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Components/ActorComponent.h"
#include "CoreMinimal.h"
#include "TownsfolkTypes.h"

#include "TownsfolkNpcComponent.generated.h"

class FTownsfolkNpcVoice;
class UTownsfolkNpcComponent;

DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FTownsfolkNpcStarted, UTownsfolkNpcComponent*, Npc);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_TwoParams(FTownsfolkNpcText, UTownsfolkNpcComponent*, Npc, const FString&, Text);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_ThreeParams(
	FTownsfolkNpcAction, UTownsfolkNpcComponent*, Npc, const FString&, Action, const FString&, ArgumentsJson);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_TwoParams(
	FTownsfolkNpcLine, UTownsfolkNpcComponent*, Npc, const FTownsfolkLine&, Line);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_TwoParams(
	FTownsfolkNpcError, UTownsfolkNpcComponent*, Npc, const FTownsfolkError&, Error);

/**
 * Lets an actor talk as one of the daemon's personas.
 *
 * One line is spoken at a time: Say while a line is being spoken interrupts that one. Every Say ends with exactly one
 * OnLineFinished or OnFailed, unless the actor is destroyed or its level unloaded first. All delegates fire on the game
 * thread, never within the call that causes them.
 */
UCLASS(ClassGroup = (Townsfolk), meta = (BlueprintSpawnableComponent))
class TOWNSFOLK_API UTownsfolkNpcComponent : public UActorComponent
{
	GENERATED_BODY()

public:
	UTownsfolkNpcComponent();

	/** Who speaks: the name of the persona's folder. */
	UPROPERTY(EditAnywhere, BlueprintReadOnly, Category = "Townsfolk", meta = (GetOptions = "GetPersonaOptions"))
	FString PersonaId;

	/** Whether the persona remembers what was said before. */
	UPROPERTY(EditAnywhere, BlueprintReadOnly, Category = "Townsfolk")
	bool bRemembers = true;

	/** Session to speak in, opened if it is not open yet and left open at the end, so that a talk can outlive the actor
	 * and be shared. Empty: one of the component's own, closed with it. */
	UPROPERTY(EditAnywhere, BlueprintReadOnly, Category = "Townsfolk", meta = (EditCondition = "bRemembers"))
	FString SessionId;

	/** What the persona calls the player. Empty: it does not know the name. */
	UPROPERTY(EditAnywhere, BlueprintReadOnly, Category = "Townsfolk", meta = (EditCondition = "bRemembers"))
	FString PlayerName;

	/** Speed of the subtitle in characters a second. 0: text is shown as it comes. */
	UPROPERTY(EditAnywhere, BlueprintReadOnly, Category = "Townsfolk", meta = (ClampMin = "0"))
	float CharactersPerSecond = 40.0f;

	/** Seconds after which one of the persona's fallback lines is spoken instead. 0: the project's deadline. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (ClampMin = "0", ClampMax = "600"))
	float DeadlineSeconds = 0.0f;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	ETownsfolkPriority Priority = ETownsfolkPriority::Normal;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FTownsfolkSampling Sampling;

	/** Fires when the daemon has taken the line up: the persona is about to speak. */
	UPROPERTY(BlueprintAssignable, Category = "Townsfolk")
	FTownsfolkNpcStarted OnLineStarted;

	/** Fires for every piece of the line as it arrives; Text is the piece alone, to be appended. */
	UPROPERTY(BlueprintAssignable, Category = "Townsfolk")
	FTownsfolkNpcText OnSpeechDelta;

	/** Fires when more of the line is to be shown, by CharactersPerSecond; Text is all that is to be shown now. */
	UPROPERTY(BlueprintAssignable, Category = "Townsfolk")
	FTownsfolkNpcText OnSubtitleChanged;

	/** Fires when the persona shows an emotion; Text is its name. It holds until the next one. */
	UPROPERTY(BlueprintAssignable, Category = "Townsfolk")
	FTownsfolkNpcText OnEmotion;

	/** Fires when the persona does something; the arguments are a JSON object, already checked by the daemon. */
	UPROPERTY(BlueprintAssignable, Category = "Townsfolk")
	FTownsfolkNpcAction OnAction;

	/** Fires when a line has come to its end and all of it was shown, and when it was interrupted. */
	UPROPERTY(BlueprintAssignable, Category = "Townsfolk")
	FTownsfolkNpcLine OnLineFinished;

	/** Fires when a line could not be spoken or broke off, in place of OnLineFinished. */
	UPROPERTY(BlueprintAssignable, Category = "Townsfolk")
	FTownsfolkNpcError OnFailed;

	/** Says something to the persona and lets it answer. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk")
	void Say(const FString& Text);

	/** As Say, in a situation that the persona is told of. With no text the persona speaks first. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk")
	void SayInSituation(const FString& Text, const FString& Situation);

	/** Ends the line where its subtitle stands. The persona remembers no more than was shown. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk")
	void Interrupt();

	/** Whether a line was asked for that has not ended. */
	UFUNCTION(BlueprintPure, Category = "Townsfolk")
	bool IsSpeaking() const;

	/** The open session's id, for saving it; empty while none is open. */
	UFUNCTION(BlueprintPure, Category = "Townsfolk")
	FString GetOpenSessionId() const;

	/** Goes on in a session that is open already, such as a restored one. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk")
	void UseSession(const FString& OpenSessionId);

	/** Speaks as another persona from the next line on, in a session of its own. */
	UFUNCTION(BlueprintCallable, Category = "Townsfolk")
	void SetPersona(const FString& NewPersonaId);

	virtual void EndPlay(const EEndPlayReason::Type EndPlayReason) override;
	virtual void TickComponent(
		float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* ThisTickFunction) override;

private:
	/** The voice over the current connection, or null outside of a running game. */
	FTownsfolkNpcVoice* FindVoice();

	/** The personas to choose from in the editor. */
	UFUNCTION()
	TArray<FString> GetPersonaOptions() const;

	TSharedPtr<FTownsfolkNpcVoice> Voice;
};
