// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "Townsfolk/Core/ConsoleCompletions.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

using namespace Townsfolk;

namespace
{
townsfolk_event Completions(const std::vector<townsfolk_completion>& Given, uint32_t Start, uint32_t End)
{
	townsfolk_event Event = {};
	Event.kind = TOWNSFOLK_EVENT_COMPLETIONS;
	Event.completions = Given.data();
	Event.completion_count = Given.size();
	Event.replace_start = Start;
	Event.replace_end = End;
	return Event;
}

std::vector<std::string> Lines(const FConsoleCompletions& All)
{
	std::vector<std::string> Found;
	for (const FConsoleEntry& Entry : All.Entries())
	{
		Found.push_back(Entry.Line);
	}
	return Found;
}
} // namespace

TEST(ConsoleLine, QuotesAsAShellReadsIt)
{
	EXPECT_EQ(QuoteWord("dwarf_smith"), "dwarf_smith");
	EXPECT_EQ(QuoteWord("Do you sell rope?"), "'Do you sell rope?'");
	EXPECT_EQ(QuoteWord("Don't"), "'Don'\"'\"'t'");
	EXPECT_EQ(QuoteWord("Grüße"), "'Grüße'");
	EXPECT_EQ(QuoteWord(""), "''");
}

TEST(ConsoleLine, TakesAllAfterThePersonaForTheLine)
{
	EXPECT_EQ(SayCommand({"dwarf_smith", "Do", "you", "sell", "rope?"}), "npc.say dwarf_smith -- 'Do you sell rope?'");
	EXPECT_EQ(SayCommand({"dwarf_smith", "\"Do", "you?\""}), "npc.say dwarf_smith -- 'Do you?'");
	EXPECT_EQ(SayCommand({"dwarf_smith", "It's", "I."}), "npc.say dwarf_smith -- 'It'\"'\"'s I.'");
	EXPECT_EQ(SayCommand({"dwarf_smith"}), "");
	EXPECT_EQ(SayCommand({"dwarf_smith", "\"\""}), "");
	EXPECT_EQ(SayCommand({}), "");
}

TEST(ConsoleLine, CompletionReplacesCodePointsAndNotBytes)
{
	EXPECT_EQ(SpliceCompletion("npc.say 'Grüße' dw", 16, 18, "dwarf_smith"), "npc.say 'Grüße' dwarf_smith");
	EXPECT_EQ(SpliceCompletion("npc.", 4, 4, "say"), "npc.say");
	EXPECT_EQ(SpliceCompletion("npc.", 9, 2, "say"), "npc.say");
}

TEST(ConsoleCompletions, GrowFromTheEmptyLine)
{
	FConsoleCompletions All;
	ASSERT_TRUE(All.HasQuestion());
	EXPECT_EQ(All.TakeQuestion(), "");
	All.TakeAnswer("", Completions({{"npc.say ", "speaks"}, {"npc.stats", ""}}, 0, 0));
	EXPECT_EQ(All.TakeQuestion(), "npc.say ");
	All.TakeAnswer("npc.say ", Completions({{"dwarf_smith", "Borrin"}}, 8, 8));
	EXPECT_EQ(All.TakeQuestion(), "npc.stats ");
	All.TakeAnswer("npc.stats ", Completions({}, 0, 0));
	EXPECT_FALSE(All.HasQuestion()) << "a command and its first argument are enough";
	EXPECT_EQ(Lines(All), (std::vector<std::string>{"npc.say", "npc.stats", "npc.say dwarf_smith"}));
	EXPECT_EQ(All.Entries()[2].Description, "Borrin");
}

TEST(ConsoleCompletions, NameNothingTwiceAndEndWithADaemonThatAlwaysHasMore)
{
	FConsoleCompletions All;
	std::vector<std::string> Names;
	for (int Index = 0; Index < 64; ++Index)
	{
		Names.push_back("command" + std::to_string(Index));
	}
	std::vector<townsfolk_completion> Given;
	for (const std::string& Name : Names)
	{
		Given.push_back({Name.c_str(), ""});
	}
	size_t Questions = 0;
	for (; All.HasQuestion(); ++Questions)
	{
		const std::string Line = All.TakeQuestion();
		const uint32_t End = CountCodePoints(Line);
		All.TakeAnswer(Line, Completions(Given, End, End));
		All.TakeAnswer(Line, Completions(Given, End, End));
	}
	EXPECT_EQ(Questions, FConsoleCompletions::MaxQuestions);
	EXPECT_EQ(All.Entries().size(), FConsoleCompletions::MaxEntries);
	All.Reset();
	EXPECT_TRUE(All.Entries().empty());
	EXPECT_TRUE(All.HasQuestion());
}
