// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.
// The engine-free logic over the real native client, against the daemon that TOWNSFOLK_ADDRESS names.

#include "Townsfolk/Core/Conversation.h"
#include "Townsfolk/Core/TownQuestion.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

using namespace Townsfolk;

namespace
{
/** Ticks as a game does, until it is so or half a minute has passed. */
bool TickUntil(const std::shared_ptr<FConnection>& Connection, const std::function<bool()>& bDone)
{
	const auto GiveUp = std::chrono::steady_clock::now() + std::chrono::seconds(30);
	while (!bDone() && std::chrono::steady_clock::now() < GiveUp)
	{
		Connection->Tick(0.001);
		std::this_thread::sleep_for(std::chrono::milliseconds(2));
	}
	return bDone();
}

class FRecorder : public IConversationListener
{
public:
	void OnLineStarted() override { ++Started; }
	void OnSpeechDelta(const std::string& Text) override { Spoken += Text; }
	void OnSubtitleChanged(const std::string& Shown) override { Subtitle = Shown; }
	void OnEmotion(const std::string&) override {}
	void OnAction(const std::string&, const std::string&) override {}
	void OnLineFinished(const FSpokenLine& Line) override { Lines.push_back(Line); }
	void OnLineFailed(int32_t, const std::string& Message, const std::string&, double) override
	{
		Failures.push_back(Message);
	}

	int Started = 0;
	std::string Spoken;
	std::string Subtitle;
	std::vector<FSpokenLine> Lines;
	std::vector<std::string> Failures;
};

FSayLine Ask(const std::string& Text)
{
	FSayLine Line;
	Line.Text = Text;
	return Line;
}
} // namespace

TEST(Daemon, AConversationSpeaksInASessionOfItsOwn)
{
	const std::shared_ptr<FConnection> Connection = FConnection::Open(nullptr, nullptr);
	FRecorder Recorder;
	FConversationSettings Settings;
	Settings.PersonaId = "dwarf_smith";
	const auto Conversation = FConversation::Create(Connection, Settings, Recorder);
	for (size_t Turn = 1; Turn <= 2; ++Turn)
	{
		Recorder.Spoken.clear();
		Conversation->Say(Ask("Grüße, Meister."));
		ASSERT_TRUE(TickUntil(Connection, [&] { return Recorder.Lines.size() + Recorder.Failures.size() == Turn; }));
		EXPECT_EQ(Recorder.Failures, std::vector<std::string>());
		EXPECT_EQ(Recorder.Spoken, Recorder.Lines.back().Text);
		EXPECT_EQ(Recorder.Subtitle, Recorder.Lines.back().Text);
		EXPECT_EQ(Recorder.Lines.back().FinishReason, TOWNSFOLK_FINISH_STOP);
		EXPECT_FALSE(Recorder.Lines.back().Text.empty());
	}
	EXPECT_EQ(Recorder.Started, 2);
	EXPECT_FALSE(Conversation->OpenSessionId().empty());
}

TEST(Daemon, ALineOfAnUnknownPersonaFailsInWords)
{
	const std::shared_ptr<FConnection> Connection = FConnection::Open(nullptr, nullptr);
	FRecorder Recorder;
	FConversationSettings Settings;
	Settings.PersonaId = "nobody";
	Settings.bRemembers = false;
	const auto Conversation = FConversation::Create(Connection, Settings, Recorder);
	Conversation->Say(Ask("Hello?"));
	ASSERT_TRUE(TickUntil(Connection, [&] { return !Recorder.Failures.empty(); }));
	EXPECT_NE(Recorder.Failures[0].find("nobody"), std::string::npos) << Recorder.Failures[0];
}

TEST(Daemon, AnInterruptedLineEndsOnceAndTheNextIsSpoken)
{
	const std::shared_ptr<FConnection> Connection = FConnection::Open(nullptr, nullptr);
	FRecorder Recorder;
	FConversationSettings Settings;
	Settings.PersonaId = "dwarf_smith";
	Settings.CharactersPerSecond = 0.01;
	const auto Conversation = FConversation::Create(Connection, Settings, Recorder);
	Conversation->Say(Ask("Tell me all."));
	ASSERT_TRUE(TickUntil(Connection, [&] { return !Recorder.Spoken.empty(); }));
	Conversation->Interrupt();
	ASSERT_TRUE(TickUntil(Connection, [&] { return Recorder.Lines.size() == 1; }));
	EXPECT_EQ(Recorder.Lines[0].FinishReason, TOWNSFOLK_FINISH_CANCELLED);
	EXPECT_EQ(Recorder.Lines[0].Text, "");
	Recorder.Spoken.clear();
	Conversation->Say(Ask("And now?"));
	ASSERT_TRUE(TickUntil(Connection, [&] { return !Recorder.Spoken.empty(); }));
	EXPECT_EQ(Recorder.Failures, std::vector<std::string>());
	EXPECT_EQ(Recorder.Lines.size(), 1u);
}

TEST(Daemon, TheTownAnswersAtOnce)
{
	const std::shared_ptr<FConnection> Connection = FConnection::Open(nullptr, nullptr);
	std::map<std::string, std::string> Answers;
	bool bEnded = false;
	const auto Question = FTownQuestion::Ask(
		Connection, {"dwarf_smith", "forest_elf", "old_knight"}, Ask("Who goes there?"),
		[&](const std::string& PersonaId, const townsfolk_event& Event)
		{
			if (Event.last != 0)
			{
				Answers[PersonaId] = Event.text;
				EXPECT_EQ(Event.kind, TOWNSFOLK_EVENT_FINISHED) << Event.text;
			}
		},
		[&] { bEnded = true; });
	ASSERT_TRUE(TickUntil(Connection, [&] { return bEnded; }));
	EXPECT_EQ(Answers.size(), 3u);
	EXPECT_FALSE(Answers["old_knight"].empty());
}

TEST(Daemon, ClosingWhileALineRunsEndsIt)
{
	const std::shared_ptr<FConnection> Connection = FConnection::Open(nullptr, nullptr);
	FRecorder Recorder;
	FConversationSettings Settings;
	Settings.PersonaId = "dwarf_smith";
	Settings.bRemembers = false;
	const auto Conversation = FConversation::Create(Connection, Settings, Recorder);
	Conversation->Say(Ask("Hello."));
	Connection->Close("The game ends.");
	EXPECT_EQ(Recorder.Failures, std::vector<std::string>{"The game ends."});
}
