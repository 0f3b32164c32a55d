// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkSubsystem.h"

#include "Engine/Engine.h"
#include "Engine/GameInstance.h"
#include "Engine/World.h"
#include "TownsfolkConnection.h"
#include "TownsfolkSettings.h"

UTownsfolkSubsystem* UTownsfolkSubsystem::Get(const UObject* WorldContextObject)
{
	const UWorld* World = GEngine != nullptr && WorldContextObject != nullptr
							  ? GEngine->GetWorldFromContextObject(WorldContextObject, EGetWorldErrorMode::ReturnNull)
							  : nullptr;
	UGameInstance* Game = World != nullptr ? World->GetGameInstance() : nullptr;
	return Game != nullptr ? Game->GetSubsystem<UTownsfolkSubsystem>() : nullptr;
}

void UTownsfolkSubsystem::Initialize(FSubsystemCollectionBase& Collection)
{
	Super::Initialize(Collection);
	if (GetDefault<UTownsfolkSettings>()->bConnectAtStart)
	{
		Connect();
	}
}

void UTownsfolkSubsystem::Deinitialize()
{
	Disconnect();
	Super::Deinitialize();
}

void UTownsfolkSubsystem::Connect()
{
	if (Connection.IsValid())
	{
		return;
	}
	Connection = FTownsfolkConnection::Open(*GetDefault<UTownsfolkSettings>());
	Connection->OnStateChanged.AddUObject(this, &UTownsfolkSubsystem::HandleStateChanged);
	Connection->OnPersonasChanged.AddUObject(this, &UTownsfolkSubsystem::HandlePersonasChanged);
}

void UTownsfolkSubsystem::Disconnect()
{
	if (Connection.IsValid())
	{
		const TSharedPtr<FTownsfolkConnection> Closing = Connection;
		Closing->Close();
		Connection.Reset();
	}
}

TSharedRef<FTownsfolkConnection> UTownsfolkSubsystem::GetConnection()
{
	Connect();
	return Connection.ToSharedRef();
}

ETownsfolkConnectionState UTownsfolkSubsystem::GetConnectionState() const
{
	return Connection.IsValid() ? Connection->GetState() : ETownsfolkConnectionState::Closed;
}

FString UTownsfolkSubsystem::GetConnectionMessage() const
{
	return Connection.IsValid() ? Connection->GetStateMessage() : FString();
}

TArray<FTownsfolkPersona> UTownsfolkSubsystem::GetPersonas() const
{
	return Connection.IsValid() ? Connection->GetPersonas() : TArray<FTownsfolkPersona>();
}

void UTownsfolkSubsystem::HandleStateChanged()
{
	OnConnectionChanged.Broadcast(GetConnectionState(), GetConnectionMessage());
}

void UTownsfolkSubsystem::HandlePersonasChanged()
{
	OnPersonasChanged.Broadcast();
}
