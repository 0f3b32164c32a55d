// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkSessionAction.h"

#include "TownsfolkConvert.h"

UTownsfolkSessionAction* UTownsfolkSessionAction::Make(UObject* WorldContextObject, ECall InCall, const FString& InId)
{
	UTownsfolkSessionAction* Action = NewObject<UTownsfolkSessionAction>();
	Action->Call = InCall;
	Action->Id = InId;
	Action->Bind(WorldContextObject);
	return Action;
}

UTownsfolkSessionAction* UTownsfolkSessionAction::OpenSession(
	UObject* WorldContextObject, const TArray<FString>& PersonaIds, const FString& SessionId, const FString& PlayerName)
{
	UTownsfolkSessionAction* Action = Make(WorldContextObject, ECall::Open, SessionId);
	Action->Participants = PersonaIds;
	Action->Player = PlayerName;
	return Action;
}

UTownsfolkSessionAction* UTownsfolkSessionAction::CloseSession(UObject* WorldContextObject, const FString& SessionId)
{
	return Make(WorldContextObject, ECall::Close, SessionId);
}

UTownsfolkSessionAction* UTownsfolkSessionAction::SaveSession(UObject* WorldContextObject, const FString& SessionId)
{
	return Make(WorldContextObject, ECall::Save, SessionId);
}

UTownsfolkSessionAction* UTownsfolkSessionAction::RestoreSession(
	UObject* WorldContextObject, const TArray<uint8>& Save, const FString& SessionId)
{
	UTownsfolkSessionAction* Action = Make(WorldContextObject, ECall::Restore, SessionId);
	Action->Bytes = Save;
	return Action;
}

UTownsfolkSessionAction* UTownsfolkSessionAction::ForkSession(
	UObject* WorldContextObject, const FString& SessionId, const FString& NewSessionId)
{
	UTownsfolkSessionAction* Action = Make(WorldContextObject, ECall::Fork, SessionId);
	Action->NewId = NewSessionId;
	return Action;
}

void UTownsfolkSessionAction::Activate()
{
	if (!Connect().IsValid())
	{
		OnFailed.Broadcast(Id, TArray<uint8>(),
			Townsfolk::ErrorFrom(TOWNSFOLK_FAILED_PRECONDITION, "Sessions need a running game.", "", 0));
		End();
		return;
	}
	FTownsfolkEventDelegate OnEvent =
		FTownsfolkEventDelegate::CreateUObject(this, &UTownsfolkSessionAction::HandleEvent);
	switch (Call)
	{
	case ECall::Open:
		Requests.OpenSession(Id, Participants, Player, MoveTemp(OnEvent));
		break;
	case ECall::Close:
		Requests.CloseSession(Id, MoveTemp(OnEvent));
		break;
	case ECall::Save:
		Requests.SaveSession(Id, MoveTemp(OnEvent));
		break;
	case ECall::Restore:
		Requests.RestoreSession(Bytes, Id, MoveTemp(OnEvent));
		break;
	case ECall::Fork:
		Requests.ForkSession(Id, NewId, MoveTemp(OnEvent));
		break;
	}
}

void UTownsfolkSessionAction::HandleEvent(const townsfolk_event& Event)
{
	if (!ShouldBroadcastDelegates())
	{
		return;
	}
	if (Event.kind == TOWNSFOLK_EVENT_ERROR)
	{
		OnFailed.Broadcast(Id, TArray<uint8>(), Townsfolk::ErrorFrom(Event));
	}
	else
	{
		const FString Session =
			Event.kind == TOWNSFOLK_EVENT_SESSION_OPENED ? Townsfolk::FromUtf8(Event.session_id) : Id;
		OnDone.Broadcast(Session, TArray<uint8>(Event.bytes, static_cast<int32>(Event.byte_count)),
			Townsfolk::ErrorFrom(TOWNSFOLK_OK, "", "", 0));
	}
	End();
}
