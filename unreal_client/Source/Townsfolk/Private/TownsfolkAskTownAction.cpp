// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkAskTownAction.h"

#include "TownsfolkConvert.h"

UTownsfolkAskTownAction* UTownsfolkAskTownAction::AskTown(UObject* WorldContextObject,
	const TArray<FString>& PersonaIds, const FString& Text, const FString& Situation, float DeadlineSeconds,
	ETownsfolkPriority Priority)
{
	UTownsfolkAskTownAction* Action = NewObject<UTownsfolkAskTownAction>();
	Action->AskedIds = PersonaIds;
	Action->Asked.Text = Text;
	Action->Asked.Situation = Situation;
	Action->Asked.DeadlineSeconds = DeadlineSeconds;
	Action->Asked.Priority = Priority;
	Action->Bind(WorldContextObject);
	return Action;
}

void UTownsfolkAskTownAction::Activate()
{
	const TSharedPtr<FTownsfolkConnection> Connection = Connect();
	if (!Connection.IsValid())
	{
		FailAll(Townsfolk::ErrorFrom(TOWNSFOLK_FAILED_PRECONDITION, "Ask Town needs a running game.", "", 0));
		return;
	}
	Core = Connection->GetCore();
	if (AskedIds.IsEmpty())
	{
		Requests.ListPersonas(FTownsfolkEventDelegate::CreateUObject(this, &UTownsfolkAskTownAction::HandlePersonas));
		return;
	}
	Ask();
}

void UTownsfolkAskTownAction::HandlePersonas(const townsfolk_event& Event)
{
	if (Event.kind != TOWNSFOLK_EVENT_PERSONAS)
	{
		FailAll(Townsfolk::ErrorFrom(Event));
		return;
	}
	for (size_t Index = 0; Index < Event.persona_count && Index < Townsfolk::FTownQuestion::MaxPersonas; ++Index)
	{
		AskedIds.Add(Townsfolk::FromUtf8(Event.personas[Index].id));
	}
	if (AskedIds.IsEmpty())
	{
		FailAll(Townsfolk::ErrorFrom(TOWNSFOLK_NOT_FOUND, "The daemon has no personas.", "", 0));
		return;
	}
	Ask();
}

void UTownsfolkAskTownAction::Ask()
{
	if (AskedIds.Num() > static_cast<int32>(Townsfolk::FTownQuestion::MaxPersonas))
	{
		FailAll(Townsfolk::ErrorFrom(
			TOWNSFOLK_INVALID_ARGUMENT, "Ask Town asks at most 64 personas at once.", "persona_ids", 0));
		return;
	}
	std::vector<std::string> Ids;
	for (const FString& AskedId : AskedIds)
	{
		Ids.push_back(Townsfolk::ToUtf8(AskedId));
	}
	const TWeakObjectPtr<UTownsfolkAskTownAction> Weak(this);
	Question = Townsfolk::FTownQuestion::Ask(
		Core, Ids, Townsfolk::SayLineFrom(Asked),
		[Weak](const std::string& Speaker, const townsfolk_event& Event)
		{
			if (UTownsfolkAskTownAction* Self = Weak.Get())
			{
				Self->HandleAnswer(Townsfolk::FromUtf8(Speaker), Event);
			}
		},
		[Weak]
		{
			if (UTownsfolkAskTownAction* Self = Weak.Get())
			{
				Self->HandleEnded();
			}
		});
}

void UTownsfolkAskTownAction::HandleAnswer(const FString& PersonaId, const townsfolk_event& Event)
{
	if (!ShouldBroadcastDelegates())
	{
		return;
	}
	const FString Spoken = Townsfolk::FromUtf8(Event.text);
	switch (Event.kind)
	{
	case TOWNSFOLK_EVENT_SPEECH_DELTA:
		OnSpeechDelta.Broadcast(PersonaId, Spoken, Answers, FTownsfolkError());
		break;
	case TOWNSFOLK_EVENT_FINISHED:
		Answers.Add(Townsfolk::LineFrom(Event));
		OnLineFinished.Broadcast(PersonaId, Spoken, Answers, FTownsfolkError());
		break;
	case TOWNSFOLK_EVENT_ERROR:
		OnFailed.Broadcast(PersonaId, FString(), Answers, Townsfolk::ErrorFrom(Event));
		break;
	default:
		break;
	}
}

void UTownsfolkAskTownAction::HandleEnded()
{
	if (ShouldBroadcastDelegates())
	{
		OnAllFinished.Broadcast(FString(), FString(), Answers, FTownsfolkError());
	}
	Question.reset();
	End();
}

void UTownsfolkAskTownAction::FailAll(const FTownsfolkError& Error)
{
	OnFailed.Broadcast(FString(), FString(), Answers, Error);
	OnAllFinished.Broadcast(FString(), FString(), Answers, Error);
	End();
}

void UTownsfolkAskTownAction::Cancel()
{
	Question.reset();
	Super::Cancel();
}
