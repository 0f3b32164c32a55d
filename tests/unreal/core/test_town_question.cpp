// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "Townsfolk/Core/TownQuestion.h"
#include "fake_client.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

using namespace Townsfolk;

namespace
{
class TownQuestionTest : public testing::Test
{
protected:
	void SetUp() override
	{
		Town.Reset();
		Connection = FConnection::Open(nullptr, nullptr);
	}

	std::shared_ptr<FTownQuestion> Ask(const std::vector<std::string>& PersonaIds)
	{
		FSayLine Line;
		Line.Text = "Who goes there?";
		return FTownQuestion::Ask(
			Connection, PersonaIds, Line, [this](const std::string& PersonaId, const townsfolk_event& Event)
			{ Answers.push_back(PersonaId + ": " + Event.text); }, [this] { ++Ended; });
	}

	FFakeTown& Town = FFakeTown::Get();
	std::shared_ptr<FConnection> Connection;
	std::vector<std::string> Answers;
	int Ended = 0;
};
} // namespace

TEST_F(TownQuestionTest, AsksEverybodyInOneSceneAndEndsAfterTheLast)
{
	const std::shared_ptr<FTownQuestion> Question = Ask({"elf", "knight"});
	EXPECT_EQ(Town.Calls, (std::vector<std::string>{"scene_open", "scene_say 1 elf 'Who goes there?' in -",
							  "scene_say 1 knight 'Who goes there?' in -"}));
	Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, 3, "I"});
	Town.Push(FFakeEvent(TOWNSFOLK_EVENT_FINISHED, 3, "I.").Last());
	Connection->Tick(1);
	EXPECT_EQ(Ended, 0);
	Town.Push(FFakeEvent(TOWNSFOLK_EVENT_ERROR, 2, "busy").Last());
	Connection->Tick(1);
	EXPECT_EQ(Ended, 1);
	EXPECT_EQ(Answers, (std::vector<std::string>{"knight: I", "knight: I.", "elf: busy"}));
	EXPECT_EQ(Town.Calls.back(), "scene_close 1");
}

TEST_F(TownQuestionTest, CancelsSceneAndLinesWhenDestroyed)
{
	Ask({"elf", "knight"});
	EXPECT_EQ(std::vector<std::string>(Town.Calls.end() - 3, Town.Calls.end()),
		(std::vector<std::string>{"cancel 1", "cancel 2", "cancel 3"}));
	EXPECT_EQ(Ended, 0);
}

TEST_F(TownQuestionTest, EndsWithoutAConnectionToo)
{
	Connection->Close("The daemon is gone.");
	const std::shared_ptr<FTownQuestion> Question = Ask({"elf"});
	Connection->Tick(1);
	EXPECT_EQ(Ended, 1);
	EXPECT_EQ(Answers, std::vector<std::string>{"elf: The daemon is gone."});
}
