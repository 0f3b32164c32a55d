// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "TownsfolkTypes.h"

#include "Townsfolk/Core/Conversation.h"

class UTownsfolkNpcComponent;
class FTownsfolkConnection;

/** The conversation of a component, and what the component tells of it. */
class FTownsfolkNpcVoice : public Townsfolk::IConversationListener
{
public:
	FTownsfolkNpcVoice(UTownsfolkNpcComponent& Component, const FTownsfolkConnection& Connection);

	virtual ~FTownsfolkNpcVoice() override;

	/** Whether it still speaks over this connection. */
	bool IsOver(const FTownsfolkConnection& Connection) const;

	Townsfolk::FConversation& GetConversation() { return *Conversation; }

	virtual void OnLineStarted() override;
	virtual void OnSpeechDelta(const std::string& Text) override;
	virtual void OnSubtitleChanged(const std::string& Shown) override;
	virtual void OnEmotion(const std::string& Name) override;
	virtual void OnAction(const std::string& Name, const std::string& ArgumentsJson) override;
	virtual void OnLineFinished(const Townsfolk::FSpokenLine& Line) override;
	virtual void OnLineFailed(
		int32_t Status, const std::string& Message, const std::string& Field, double RetryAfterS) override;

private:
	TWeakObjectPtr<UTownsfolkNpcComponent> Npc;
	std::shared_ptr<Townsfolk::FConnection> Core;
	std::shared_ptr<Townsfolk::FConversation> Conversation;
};
