// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkConnection.h"

#include "TownsfolkConsole.h"
#include "TownsfolkConvert.h"
#include "TownsfolkLog.h"
#include "TownsfolkModule.h"
#include "TownsfolkSettings.h"
#include "UObject/Class.h"

namespace
{
ETownsfolkConnectionState StateFrom(int32 Connection)
{
	switch (Connection)
	{
	case TOWNSFOLK_CONNECTION_LAUNCHING:
		return ETownsfolkConnectionState::Launching;
	case TOWNSFOLK_CONNECTION_READY:
		return ETownsfolkConnectionState::Ready;
	case TOWNSFOLK_CONNECTION_NOT_SERVING:
		return ETownsfolkConnectionState::NotServing;
	case TOWNSFOLK_CONNECTION_LOST:
		return ETownsfolkConnectionState::Lost;
	case TOWNSFOLK_CONNECTION_FAILED:
		return ETownsfolkConnectionState::Failed;
	default:
		return ETownsfolkConnectionState::Connecting;
	}
}

std::shared_ptr<Townsfolk::FConnection> OpenCore(const UTownsfolkSettings& Settings, Townsfolk::FEventHandler OnTold)
{
	const FString& Problem = FTownsfolkModule::Get().GetLibraryProblem();
	if (!Problem.IsEmpty())
	{
		return Townsfolk::FConnection::Closed(Townsfolk::ToUtf8(Problem));
	}
	using Townsfolk::FSayLine;
	using Townsfolk::ToUtf8;
	const std::string Address = ToUtf8(Settings.Address);
	const std::string Token = ToUtf8(Settings.Token);
	const std::string Certificate = ToUtf8(Settings.TlsCertificate.FilePath);
	const std::string Command = ToUtf8(Settings.LaunchCommand);
	const std::string Folder = ToUtf8(Settings.GetLaunchFolder());
	townsfolk_options Options = {};
	Options.struct_size = sizeof(Options);
	Options.address = FSayLine::OrNull(Address);
	Options.token = FSayLine::OrNull(Token);
	Options.tls_certificate = FSayLine::OrNull(Certificate);
	Options.launch = Settings.bLaunch ? 1 : 0;
	Options.launch_command = FSayLine::OrNull(Command);
	Options.launch_folder = FSayLine::OrNull(Folder);
	Options.max_waiting_events = static_cast<uint32>(FMath::Max(Settings.MaxWaitingEvents, 0));
	Options.call_deadline_s = Settings.CallDeadlineSeconds;
	Options.turn_deadline_s = Settings.TurnDeadlineSeconds;
	return Townsfolk::FConnection::Open(&Options, MoveTemp(OnTold));
}
} // namespace

TSharedRef<FTownsfolkConnection> FTownsfolkConnection::Open(const UTownsfolkSettings& Settings)
{
	TSharedRef<FTownsfolkConnection> Connection = MakeShareable(new FTownsfolkConnection);
	Connection->Begin(Settings);
	return Connection;
}

FTownsfolkConnection::~FTownsfolkConnection()
{
	Close();
}

void FTownsfolkConnection::Begin(const UTownsfolkSettings& Settings)
{
	const TWeakPtr<FTownsfolkConnection> Weak = AsShared();
	Core = OpenCore(Settings,
		[Weak](const townsfolk_event& Event)
		{
			if (const TSharedPtr<FTownsfolkConnection> Self = Weak.Pin())
			{
				Self->HandleTold(Event);
			}
			return true;
		});
	Owner = Core->AddOwner();
	BudgetSeconds = Settings.EventBudgetMilliseconds / 1000.0;
	Console = MakeShared<FTownsfolkConsole>(*this);
	Console->Begin();
	Ticker = FTSTicker::GetCoreTicker().AddTicker(FTickerDelegate::CreateSP(this, &FTownsfolkConnection::Tick), 0.0f);
	if (Core->IsOpen())
	{
		State = ETownsfolkConnectionState::Connecting;
	}
	else
	{
		State = ETownsfolkConnectionState::Failed;
		StateMessage = Townsfolk::FromUtf8(Core->WhyClosed());
		UE_LOG(LogTownsfolk, Error, TEXT("%s"), *StateMessage);
	}
}

void FTownsfolkConnection::Close()
{
	FTSTicker::GetCoreTicker().RemoveTicker(Ticker);
	Ticker.Reset();
	if (Core && Core->IsOpen())
	{
		Core->Close("The connection to the daemon was closed.");
		SetState(ETownsfolkConnectionState::Closed, TEXT(""));
	}
}

bool FTownsfolkConnection::Tick(float DeltaSeconds)
{
	check(IsInGameThread());
	// A handler may drop the last reference.
	const TSharedRef<FTownsfolkConnection> KeepAlive = AsShared();
	Core->Tick(BudgetSeconds);
	return true;
}

void FTownsfolkConnection::RefreshPersonas()
{
	const TWeakPtr<FTownsfolkConnection> Weak = AsShared();
	Core->Request(
		Owner,
		[Weak](const townsfolk_event& Event)
		{
			const TSharedPtr<FTownsfolkConnection> Self = Weak.Pin();
			if (Self.IsValid())
			{
				Self->HandlePersonas(Event);
			}
			return Self.IsValid();
		},
		townsfolk_list_personas);
}

void FTownsfolkConnection::HandleTold(const townsfolk_event& Event)
{
	if (Event.kind == TOWNSFOLK_EVENT_CONNECTION)
	{
		const ETownsfolkConnectionState NewState = StateFrom(Event.connection);
		if (NewState == ETownsfolkConnectionState::Ready)
		{
			RefreshPersonas();
			Console->RefreshCompletions();
		}
		SetState(NewState, Townsfolk::FromUtf8(Event.text));
	}
	else if (Event.kind == TOWNSFOLK_EVENT_ERROR)
	{
		UE_LOG(
			LogTownsfolk, Warning, TEXT("%s (%u events lost)"), *Townsfolk::FromUtf8(Event.text), Event.dropped_events);
	}
}

void FTownsfolkConnection::HandlePersonas(const townsfolk_event& Event)
{
	if (Event.kind != TOWNSFOLK_EVENT_PERSONAS)
	{
		return;
	}
	Personas.Reset();
	for (size_t Index = 0; Index < Event.persona_count; ++Index)
	{
		Personas.Add(Townsfolk::PersonaFrom(Event.personas[Index]));
	}
	OnPersonasChanged.Broadcast();
}

void FTownsfolkConnection::SetState(ETownsfolkConnectionState InState, const FString& Message)
{
	State = InState;
	StateMessage = Message;
	UE_LOG(LogTownsfolk, Log, TEXT("Connection: %s %s"), *UEnum::GetValueAsString(State), *StateMessage);
	OnStateChanged.Broadcast();
}
