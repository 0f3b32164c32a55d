// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkAsyncAction.h"

#include "Engine/Engine.h"
#include "Engine/World.h"
#include "TownsfolkSubsystem.h"

void UTownsfolkAsyncAction::Bind(const UObject* WorldContextObject)
{
	RegisterWithGameInstance(WorldContextObject);
	World = GEngine != nullptr
				? GEngine->GetWorldFromContextObject(WorldContextObject, EGetWorldErrorMode::LogAndReturnNull)
				: nullptr;
	FWorldDelegates::OnWorldCleanup.AddUObject(this, &UTownsfolkAsyncAction::HandleWorldCleanup);
}

TSharedPtr<FTownsfolkConnection> UTownsfolkAsyncAction::Connect()
{
	UTownsfolkSubsystem* Subsystem = UTownsfolkSubsystem::Get(World.Get());
	if (Subsystem == nullptr)
	{
		return nullptr;
	}
	const TSharedRef<FTownsfolkConnection> Connection = Subsystem->GetConnection();
	Requests = FTownsfolkRequests(*Connection);
	return Connection;
}

void UTownsfolkAsyncAction::End()
{
	Requests.Reset();
	FWorldDelegates::OnWorldCleanup.RemoveAll(this);
	SetReadyToDestroy();
}

void UTownsfolkAsyncAction::Cancel()
{
	Requests.Reset();
	FWorldDelegates::OnWorldCleanup.RemoveAll(this);
	Super::Cancel();
}

void UTownsfolkAsyncAction::HandleWorldCleanup(UWorld* CleanedWorld, bool bSessionEnded, bool bCleanupResources)
{
	if (CleanedWorld == World.Get())
	{
		Cancel();
	}
}
