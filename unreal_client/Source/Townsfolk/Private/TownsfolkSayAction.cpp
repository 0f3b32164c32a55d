// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkSayAction.h"

#include "TownsfolkConvert.h"

UTownsfolkSayAction* UTownsfolkSayAction::Say(UObject* WorldContextObject, const FString& PersonaId,
	const FString& Text, const FString& SessionId, const FString& Situation, float DeadlineSeconds,
	ETownsfolkPriority Priority)
{
	UTownsfolkSayAction* Action = NewObject<UTownsfolkSayAction>();
	Action->Asked.PersonaId = PersonaId;
	Action->Asked.Text = Text;
	Action->Asked.SessionId = SessionId;
	Action->Asked.Situation = Situation;
	Action->Asked.DeadlineSeconds = DeadlineSeconds;
	Action->Asked.Priority = Priority;
	Action->Bind(WorldContextObject);
	return Action;
}

void UTownsfolkSayAction::Activate()
{
	if (!Connect().IsValid())
	{
		Fail(Townsfolk::ErrorFrom(TOWNSFOLK_FAILED_PRECONDITION, "Say needs a running game.", "", 0));
		return;
	}
	Requests.Say(Asked, FTownsfolkEventDelegate::CreateUObject(this, &UTownsfolkSayAction::HandleEvent));
}

void UTownsfolkSayAction::HandleEvent(const townsfolk_event& Event)
{
	if (!ShouldBroadcastDelegates())
	{
		return;
	}
	const FString Spoken = Townsfolk::FromUtf8(Event.text);
	const FTownsfolkLine NoLine;
	const FTownsfolkError NoError;
	switch (Event.kind)
	{
	case TOWNSFOLK_EVENT_SPEECH_DELTA:
		OnSpeechDelta.Broadcast(Spoken, FString(), NoLine, NoError);
		break;
	case TOWNSFOLK_EVENT_EMOTION:
		OnEmotion.Broadcast(Spoken, FString(), NoLine, NoError);
		break;
	case TOWNSFOLK_EVENT_ACTION:
		OnAction.Broadcast(Spoken, Townsfolk::FromUtf8(Event.json), NoLine, NoError);
		break;
	case TOWNSFOLK_EVENT_FINISHED:
		OnFinished.Broadcast(Spoken, FString(), Townsfolk::LineFrom(Event), NoError);
		End();
		break;
	case TOWNSFOLK_EVENT_ERROR:
		Fail(Townsfolk::ErrorFrom(Event));
		break;
	default:
		break;
	}
}

void UTownsfolkSayAction::Fail(const FTownsfolkError& Error)
{
	OnFailed.Broadcast(FString(), FString(), FTownsfolkLine(), Error);
	End();
}
