// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "Townsfolk/Core/Comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

using namespace Townsfolk;

namespace
{
townsfolk_token_probability Token(const std::string& Bytes, double Probability)
{
	townsfolk_token_probability Token = {};
	Token.sampled.bytes = Bytes.data();
	Token.sampled.byte_count = Bytes.size();
	Token.sampled.log_probability = std::log(Probability);
	return Token;
}

townsfolk_event Event(townsfolk_event_kind Kind, int32_t Variant, const char* Text)
{
	townsfolk_event Result = {};
	Result.kind = Kind;
	Result.variant = Variant;
	Result.text = Text;
	return Result;
}
} // namespace

TEST(TokenShading, FadesAsTheModelGetsSurer)
{
	const FShade Sure = ShadeOfLogProbability(0);
	const FShade Unsure = ShadeOfLogProbability(std::log(0.03));
	const FShade Surprised = ShadeOfLogProbability(std::log(1e-9));
	EXPECT_LT(Sure.Alpha, Unsure.Alpha);
	EXPECT_LT(Unsure.Alpha, Surprised.Alpha);
	EXPECT_GT(Sure.Blue, Sure.Red);
	EXPECT_GT(Surprised.Red, Surprised.Blue);
	const FShade Impossible = ShadeOfLogProbability(-INFINITY);
	EXPECT_EQ(Impossible.Alpha, Surprised.Alpha);
}

TEST(TokenRuns, JoinTokensThatEndInsideACharacter)
{
	const std::string Crown = "👑";
	const std::string First = Crown.substr(0, 2);
	const std::string Second = Crown.substr(2);
	const std::string Aye = "Aye ";
	FTokenRuns Runs;
	Runs.Add(Token(Aye, 0.9));
	Runs.Add(Token(First, 0.5));
	EXPECT_EQ(Runs.Num(), 1u);
	Runs.Add(Token(Second, 0.25));
	ASSERT_EQ(Runs.Num(), 2u);
	EXPECT_EQ(Runs[0].Text, "Aye ");
	EXPECT_EQ(Runs[1].Text, Crown);
	EXPECT_DOUBLE_EQ(Runs[1].LogProbability, std::log(0.25));
}

TEST(TokenRuns, NameTheAlternativesWithTheirProbabilities)
{
	const std::string Aye = "Aye";
	const std::string No = "No";
	townsfolk_token_probability Sampled = Token(Aye, 0.2);
	const townsfolk_token Candidates[] = {Token(No, 0.7).sampled, Token(Aye, 0.2).sampled};
	Sampled.candidates = Candidates;
	Sampled.candidate_count = 2;
	FTokenRuns Runs;
	Runs.Add(Sampled);
	ASSERT_EQ(Runs[0].Alternatives.size(), 2u);
	EXPECT_EQ(Runs[0].Alternatives[0].Text, "No");
	EXPECT_NEAR(Runs[0].Alternatives[0].Probability, 0.7, 1e-9);
}

TEST(Comparison, KeepsVariantsApartAndEndsWithTheLast)
{
	FComparison Comparison(2);
	townsfolk_event Started = Event(TOWNSFOLK_EVENT_STARTED, 1, "");
	Started.adapter_applied = 1;
	Comparison.Take(Started);
	Comparison.Take(Event(TOWNSFOLK_EVENT_SPEECH_DELTA, 0, "Hello"));
	Comparison.Take(Event(TOWNSFOLK_EVENT_SPEECH_DELTA, 1, "Hrm"));
	townsfolk_event Finished = Event(TOWNSFOLK_EVENT_FINISHED, 1, "Hrm.");
	Finished.stats.tokens_per_s = 40;
	Comparison.Take(Finished);
	EXPECT_FALSE(Comparison.HasEnded());
	Comparison.Take(Event(TOWNSFOLK_EVENT_ERROR, 0, "No adapter."));
	EXPECT_TRUE(Comparison.HasEnded());
	EXPECT_EQ(Comparison.Answers()[0].Line, "Hello");
	EXPECT_EQ(Comparison.Answers()[0].Error, "No adapter.");
	EXPECT_TRUE(Comparison.Answers()[1].bAdapterApplied);
	EXPECT_EQ(Comparison.Answers()[1].Line, "Hrm.");
	EXPECT_EQ(Comparison.Answers()[1].Stats.tokens_per_s, 40);
}

TEST(Comparison, AnErrorOfTheWholeEndsWhatStillRuns)
{
	FComparison Comparison(2);
	Comparison.Take(Event(TOWNSFOLK_EVENT_FINISHED, 0, "Done."));
	townsfolk_event Error = Event(TOWNSFOLK_EVENT_ERROR, 0, "The daemon is gone.");
	Error.last = 1;
	Comparison.Take(Error);
	EXPECT_TRUE(Comparison.HasEnded());
	EXPECT_EQ(Comparison.Answers()[0].Error, "");
	EXPECT_EQ(Comparison.Answers()[1].Error, "The daemon is gone.");
}

TEST(Comparison, IgnoresAVariantThatWasNotAskedFor)
{
	FComparison Comparison(1);
	Comparison.Take(Event(TOWNSFOLK_EVENT_SPEECH_DELTA, 7, "?"));
	EXPECT_EQ(Comparison.Answers()[0].Line, "");
}
