// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkNpcComponent.h"

#include "TownsfolkConnection.h"
#include "TownsfolkConvert.h"
#include "TownsfolkLog.h"
#include "TownsfolkModule.h"
#include "TownsfolkNpcVoice.h"
#include "TownsfolkSubsystem.h"

UTownsfolkNpcComponent::UTownsfolkNpcComponent()
{
	PrimaryComponentTick.bCanEverTick = true;
	PrimaryComponentTick.bStartWithTickEnabled = false;
}

FTownsfolkNpcVoice* UTownsfolkNpcComponent::FindVoice()
{
	UTownsfolkSubsystem* Subsystem = UTownsfolkSubsystem::Get(this);
	if (Subsystem == nullptr)
	{
		return nullptr;
	}
	const TSharedRef<FTownsfolkConnection> Connection = Subsystem->GetConnection();
	if (!Voice.IsValid() || !Voice->IsOver(*Connection))
	{
		Voice = MakeShared<FTownsfolkNpcVoice>(*this, *Connection);
	}
	return Voice.Get();
}

void UTownsfolkNpcComponent::Say(const FString& Text)
{
	SayInSituation(Text, FString());
}

void UTownsfolkNpcComponent::SayInSituation(const FString& Text, const FString& Situation)
{
	FTownsfolkNpcVoice* Speaking = FindVoice();
	if (Speaking == nullptr)
	{
		UE_LOG(LogTownsfolk, Warning, TEXT("%s can speak in a running game only."), *GetPathName());
		return;
	}
	FTownsfolkSay Line;
	Line.Text = Text;
	Line.Situation = Situation;
	Line.DeadlineSeconds = DeadlineSeconds;
	Line.Priority = Priority;
	Line.Sampling = Sampling;
	Speaking->GetConversation().Say(Townsfolk::SayLineFrom(Line));
	SetComponentTickEnabled(CharactersPerSecond > 0.0f);
}

void UTownsfolkNpcComponent::Interrupt()
{
	if (Voice.IsValid())
	{
		Voice->GetConversation().Interrupt();
	}
}

bool UTownsfolkNpcComponent::IsSpeaking() const
{
	return Voice.IsValid() && Voice->GetConversation().IsSpeaking();
}

FString UTownsfolkNpcComponent::GetOpenSessionId() const
{
	return Voice.IsValid() ? Townsfolk::FromUtf8(Voice->GetConversation().OpenSessionId()) : FString();
}

void UTownsfolkNpcComponent::UseSession(const FString& OpenSessionId)
{
	SessionId = OpenSessionId;
	if (FTownsfolkNpcVoice* Speaking = FindVoice())
	{
		Speaking->GetConversation().UseSession(Townsfolk::ToUtf8(OpenSessionId));
	}
}

void UTownsfolkNpcComponent::SetPersona(const FString& NewPersonaId)
{
	PersonaId = NewPersonaId;
	SessionId.Empty();
	Voice.Reset();
}

void UTownsfolkNpcComponent::EndPlay(const EEndPlayReason::Type EndPlayReason)
{
	Voice.Reset();
	Super::EndPlay(EndPlayReason);
}

void UTownsfolkNpcComponent::TickComponent(
	float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* ThisTickFunction)
{
	Super::TickComponent(DeltaTime, TickType, ThisTickFunction);
	// A listener may end the voice meanwhile.
	const TSharedPtr<FTownsfolkNpcVoice> Speaking = Voice;
	if (Speaking.IsValid())
	{
		Speaking->GetConversation().Advance(DeltaTime);
	}
	SetComponentTickEnabled(IsSpeaking());
}

TArray<FString> UTownsfolkNpcComponent::GetPersonaOptions() const
{
	TArray<FString> Options;
	const UTownsfolkSubsystem* Subsystem = UTownsfolkSubsystem::Get(this);
	const TSharedPtr<FTownsfolkConnection> Editor = FTownsfolkModule::Get().GetEditorConnection();
	const TArray<FTownsfolkPersona> Personas = Subsystem != nullptr ? Subsystem->GetPersonas()
											   : Editor.IsValid()   ? Editor->GetPersonas()
																	: TArray<FTownsfolkPersona>();
	for (const FTownsfolkPersona& Persona : Personas)
	{
		Options.Add(Persona.Id);
	}
	// What is set stays to be chosen while the daemon is away.
	if (!PersonaId.IsEmpty())
	{
		Options.AddUnique(PersonaId);
	}
	return Options;
}
