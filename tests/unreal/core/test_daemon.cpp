// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.
// The engine-free logic over the real native client, against the daemon that TOWNSFOLK_ADDRESS names.

#include "Townsfolk/Core/ConsoleCompletions.h"
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

/** What a line of the daemon's console prints, or the status it fails with in Status. */
std::string Execute(const std::shared_ptr<FConnection>& Connection, const std::string& Line, int32_t& Status)
{
	std::string Printed;
	bool bEnded = false;
	Status = TOWNSFOLK_OK;
	Connection->Request(
		Connection->AddOwner(),
		[&](const townsfolk_event& Event)
		{
			Printed += Event.text;
			Status = Event.kind == TOWNSFOLK_EVENT_ERROR ? Event.status : Status;
			bEnded = Event.last != 0;
			return true;
		},
		[&Line](townsfolk_client* Client) { return townsfolk_console_execute(Client, Line.c_str(), nullptr, 0); });
	EXPECT_TRUE(TickUntil(Connection, [&] { return bEnded; }));
	return Printed;
}

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

TEST(Daemon, ItsConsoleSpeaksTheLinesOfUnreals)
{
	const std::shared_ptr<FConnection> Connection = FConnection::Open(nullptr, nullptr);
	int32_t Status = TOWNSFOLK_OK;
	const std::string Line = SayCommand({"dwarf_smith", "--It's", "me,", "\"Grüße\"."});
	const std::string Printed = Execute(Connection, Line, Status);
	if (Status == TOWNSFOLK_UNIMPLEMENTED)
	{
		GTEST_SKIP() << "this daemon serves no console";
	}
	EXPECT_EQ(Status, TOWNSFOLK_OK) << Printed;
	EXPECT_NE(Printed.find("Grüß dich"), std::string::npos) << Printed;
	Execute(Connection, "npc.nonsense", Status);
	EXPECT_EQ(Status, TOWNSFOLK_INVALID_ARGUMENT);
}

TEST(Daemon, ItsConsoleNamesCommandsAndPersonas)
{
	const std::shared_ptr<FConnection> Connection = FConnection::Open(nullptr, nullptr);
	FConsoleCompletions Completions;
	bool bServed = true;
	while (bServed && Completions.HasQuestion())
	{
		const std::string Line = Completions.TakeQuestion();
		bool bAnswered = false;
		Connection->Request(
			Connection->AddOwner(),
			[&](const townsfolk_event& Event)
			{
				bServed = Event.kind == TOWNSFOLK_EVENT_COMPLETIONS;
				if (bServed)
				{
					Completions.TakeAnswer(Line, Event);
				}
				else
				{
					EXPECT_EQ(Event.status, TOWNSFOLK_UNIMPLEMENTED) << Event.text;
				}
				bAnswered = true;
				return true;
			},
			[&Line](townsfolk_client* Client)
			{ return townsfolk_console_complete(Client, Line.c_str(), -1, nullptr); });
		ASSERT_TRUE(TickUntil(Connection, [&] { return bAnswered; }));
	}
	if (!bServed)
	{
		GTEST_SKIP() << "this daemon serves no console";
	}
	std::vector<std::string> Lines;
	for (const FConsoleEntry& Entry : Completions.Entries())
	{
		Lines.push_back(Entry.Line);
	}
	for (const char* Expected : {"npc.help", "npc.stats", "npc.say dwarf_smith", "npc.reload forest_elf"})
	{
		EXPECT_NE(std::find(Lines.begin(), Lines.end(), Expected), Lines.end()) << Expected;
	}
}
