// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkNpcVoice.h"

#include "TownsfolkConnection.h"
#include "TownsfolkConvert.h"
#include "TownsfolkNpcComponent.h"

FTownsfolkNpcVoice::FTownsfolkNpcVoice(UTownsfolkNpcComponent& Component, const FTownsfolkConnection& Connection)
	: Npc(&Component)
	, Core(Connection.GetCore())
{
	Townsfolk::FConversationSettings Settings;
	Settings.PersonaId = Townsfolk::ToUtf8(Component.PersonaId);
	Settings.SessionId = Townsfolk::ToUtf8(Component.SessionId);
	Settings.PlayerName = Townsfolk::ToUtf8(Component.PlayerName);
	Settings.bRemembers = Component.bRemembers;
	Settings.CharactersPerSecond = Component.CharactersPerSecond;
	Conversation = Townsfolk::FConversation::Create(Core, MoveTemp(Settings), *this);
}

FTownsfolkNpcVoice::~FTownsfolkNpcVoice()
{
	// A call of the conversation may be under way, which keeps it alive.
	Conversation->Leave();
}

bool FTownsfolkNpcVoice::IsOver(const FTownsfolkConnection& Connection) const
{
	return Core == Connection.GetCore();
}

void FTownsfolkNpcVoice::OnLineStarted()
{
	if (UTownsfolkNpcComponent* Component = Npc.Get())
	{
		Component->OnLineStarted.Broadcast(Component);
	}
}

void FTownsfolkNpcVoice::OnSpeechDelta(const std::string& Text)
{
	if (UTownsfolkNpcComponent* Component = Npc.Get())
	{
		Component->OnSpeechDelta.Broadcast(Component, Townsfolk::FromUtf8(Text));
	}
}

void FTownsfolkNpcVoice::OnSubtitleChanged(const std::string& Shown)
{
	if (UTownsfolkNpcComponent* Component = Npc.Get())
	{
		Component->OnSubtitleChanged.Broadcast(Component, Townsfolk::FromUtf8(Shown));
	}
}

void FTownsfolkNpcVoice::OnEmotion(const std::string& Name)
{
	if (UTownsfolkNpcComponent* Component = Npc.Get())
	{
		Component->OnEmotion.Broadcast(Component, Townsfolk::FromUtf8(Name));
	}
}

void FTownsfolkNpcVoice::OnAction(const std::string& Name, const std::string& ArgumentsJson)
{
	if (UTownsfolkNpcComponent* Component = Npc.Get())
	{
		Component->OnAction.Broadcast(Component, Townsfolk::FromUtf8(Name), Townsfolk::FromUtf8(ArgumentsJson));
	}
}

void FTownsfolkNpcVoice::OnLineFinished(const Townsfolk::FSpokenLine& Line)
{
	if (UTownsfolkNpcComponent* Component = Npc.Get())
	{
		FTownsfolkLine Finished;
		Finished.PersonaId = Component->PersonaId;
		Finished.Text = Townsfolk::FromUtf8(Line.Text);
		Finished.FinishReason = Townsfolk::FinishReasonFrom(Line.FinishReason);
		Finished.FallbackReason = Townsfolk::FromUtf8(Line.FallbackReason);
		Finished.Stats = Townsfolk::StatsFrom(Line.Stats);
		Component->OnLineFinished.Broadcast(Component, Finished);
	}
}

void FTownsfolkNpcVoice::OnLineFailed(
	int32_t Status, const std::string& Message, const std::string& Field, double RetryAfterS)
{
	if (UTownsfolkNpcComponent* Component = Npc.Get())
	{
		Component->OnFailed.Broadcast(Component, Townsfolk::ErrorFrom(Status, Message, Field, RetryAfterS));
	}
}
