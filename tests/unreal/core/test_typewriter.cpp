// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "Townsfolk/Core/Typewriter.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

using namespace Townsfolk;

namespace
{
std::vector<std::string> Graphemes(const std::string& Text)
{
	std::vector<std::string> Found;
	for (size_t Offset = 0; Offset < Text.size();)
	{
		const size_t End = GraphemeEnd(Text, Offset);
		Found.push_back(Text.substr(Offset, End - Offset));
		Offset = End;
	}
	return Found;
}
} // namespace

TEST(Utf8, CountsCodePointsAndNotBytes)
{
	EXPECT_EQ(CountCodePoints("Grüße, 王子 👑"), 11u);
}

TEST(Utf8, CountsEveryByteThatFitsNowhereOnce)
{
	EXPECT_EQ(CountCodePoints("a\xC3"), 2u);
	EXPECT_EQ(CountCodePoints("\xFF\x80z"), 3u);
	EXPECT_EQ(CountCodePoints("\xE2\x28\xA1"), 3u);
}

TEST(Utf8, FindsTheOffsetOfACodePoint)
{
	EXPECT_EQ(OffsetOfCodePoint("aéz", 2), 3u);
	EXPECT_EQ(OffsetOfCodePoint("aéz", 9), 4u);
}

TEST(Graphemes, KeepTogetherWhatAReaderSeesAsOne)
{
	const std::vector<std::string> Expected = {
		"e\u0301", "👩‍👩‍👧", "🇩🇪", "🇫🇷", "👍🏽", "한", "\r\n", "क्षि", "!"};
	std::string Text;
	for (const std::string& Each : Expected)
	{
		Text += Each;
	}
	EXPECT_EQ(Graphemes(Text), Expected);
}

/** Each line of the file: a text as hex code points in clusters, "65 301|21". Written by the Python test from regex's \X. */
TEST(Graphemes, NeverEndInsideOfAClusterOfUax29)
{
	const char* Path = std::getenv("TOWNSFOLK_GRAPHEME_CASES");
	if (Path == nullptr)
	{
		GTEST_SKIP() << "the Python test hands in the cases";
	}
	std::ifstream Cases(Path);
	ASSERT_TRUE(Cases.is_open());
	size_t Lines = 0;
	size_t Ends = 0;
	size_t ExpectedEnds = 0;
	for (std::string Text, Bounds; std::getline(Cases, Text) && std::getline(Cases, Bounds); ++Lines)
	{
		std::string Bytes;
		std::istringstream Hex(Text);
		for (unsigned Byte; Hex >> std::hex >> Byte;)
		{
			Bytes += static_cast<char>(Byte);
		}
		std::vector<size_t> Allowed;
		std::istringstream Offsets(Bounds);
		for (size_t Offset; Offsets >> Offset;)
		{
			Allowed.push_back(Offset);
		}
		ExpectedEnds += Allowed.size();
		for (size_t Offset = 0; Offset < Bytes.size(); ++Ends)
		{
			Offset = GraphemeEnd(Bytes, Offset);
			EXPECT_NE(std::find(Allowed.begin(), Allowed.end(), Offset), Allowed.end()) << Text << " at " << Offset;
		}
	}
	EXPECT_GE(Lines, 1000u);
	EXPECT_GE(Ends, ExpectedEnds * 9 / 10) << "too coarse to be of use";
}

TEST(Typewriter, ShowsTextAsItComesWithoutASpeed)
{
	FTypewriter Typewriter;
	Typewriter.Start(0);
	Typewriter.Append("Aye, ");
	EXPECT_EQ(Typewriter.Shown(), "Aye, ");
	EXPECT_FALSE(Typewriter.IsDone());
	EXPECT_FALSE(Typewriter.Finish("Aye, "));
	EXPECT_TRUE(Typewriter.IsDone());
}

TEST(Typewriter, ShowsSoManyCharactersASecond)
{
	FTypewriter Typewriter;
	Typewriter.Start(10);
	Typewriter.Append("abcdefghij");
	EXPECT_FALSE(Typewriter.Advance(0.09));
	EXPECT_TRUE(Typewriter.Advance(0.02));
	EXPECT_EQ(Typewriter.Shown(), "a");
	Typewriter.Advance(0.4);
	EXPECT_EQ(Typewriter.Shown(), "abcde");
	EXPECT_EQ(Typewriter.ShownCodePoints(), 5u);
}

TEST(Typewriter, HoldsTheLastCharacterBackUntilItIsWhole)
{
	FTypewriter Typewriter;
	Typewriter.Start(10);
	Typewriter.Append("caf");
	Typewriter.Append("e");
	Typewriter.Advance(10);
	EXPECT_EQ(Typewriter.Shown(), "caf");
	Typewriter.Append("\u0301");
	Typewriter.Finish("cafe\u0301");
	Typewriter.Advance(10);
	EXPECT_EQ(Typewriter.Shown(), "cafe\u0301");
	EXPECT_EQ(Typewriter.ShownCodePoints(), 5u);
	EXPECT_TRUE(Typewriter.IsDone());
}

TEST(Typewriter, DoesNotHurryAfterAPause)
{
	FTypewriter Typewriter;
	Typewriter.Start(10);
	Typewriter.Advance(60);
	Typewriter.Append("abcdefghij");
	Typewriter.Advance(0.1);
	EXPECT_EQ(Typewriter.Shown(), "ab");
}

TEST(Typewriter, BeginsAnewShouldTheWholeLineDiffer)
{
	FTypewriter Typewriter;
	Typewriter.Start(10);
	Typewriter.Append("I was about");
	Typewriter.Advance(0.5);
	Typewriter.Finish("Another time.");
	EXPECT_EQ(Typewriter.Shown(), "");
	Typewriter.Advance(0.3);
	EXPECT_EQ(Typewriter.Shown(), "Ano");
}

TEST(Typewriter, StopsWhereItIs)
{
	FTypewriter Typewriter;
	Typewriter.Start(10);
	Typewriter.Append("abcdefghij");
	Typewriter.Advance(0.3);
	Typewriter.Stop();
	Typewriter.Advance(9);
	EXPECT_EQ(Typewriter.Shown(), "abc");
	EXPECT_TRUE(Typewriter.IsDone());
}
