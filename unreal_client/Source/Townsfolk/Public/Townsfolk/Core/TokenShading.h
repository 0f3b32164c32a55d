// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Townsfolk/Core/Utf8.h"
#include "townsfolk_client.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace Townsfolk
{
/** A colour in linear light, each part from 0 to 1. */
struct FShade
{
	float Red;
	float Green;
	float Blue;
	float Alpha;
};

/**
 * Colour behind a token: a strong vermilion where the model hardly expected it, fading into a faint blue where it was
 * sure. Goes by the logarithm, so that 1 in 10 and 1 in 100 can be told apart; 1 in 1000 and less is the end of the
 * scale. Both hues are of the Okabe-Ito palette, which colour-blind readers can tell apart.
 */
inline FShade ShadeOfLogProbability(double LogProbability)
{
	constexpr FShade Unlikely = {0.665f, 0.112f, 0.0f, 0.85f};
	constexpr FShade Likely = {0.0f, 0.168f, 0.445f, 0.25f};
	const double Decades = LogProbability / std::log(10.0);
	const float Sure = static_cast<float>(std::clamp(1.0 + Decades / 3.0, 0.0, 1.0));
	const auto Mix = [Sure](float From, float To)
	{
		return From + (To - From) * Sure;
	};
	return {Mix(Unlikely.Red, Likely.Red), Mix(Unlikely.Green, Likely.Green), Mix(Unlikely.Blue, Likely.Blue),
		Mix(Unlikely.Alpha, Likely.Alpha)};
}

/** Another token that could have stood there. */
struct FTokenAlternative
{
	std::string Text;
	double Probability;
};

/** Text of one token, or of several that make up one character. */
struct FTokenRun
{
	std::string Text;
	/** That of its least likely token. */
	double LogProbability;
	/** For its first token, likeliest first. */
	std::vector<FTokenAlternative> Alternatives;
};

/** Makes runs of whole code points out of tokens, which may end inside of one. */
class FTokenRuns
{
public:
	void Add(const townsfolk_token_probability& Token)
	{
		if (!bHolding)
		{
			Runs.push_back({"", 0, AlternativesOf(Token)});
		}
		FTokenRun& Run = Runs.back();
		Run.Text.append(Token.sampled.bytes, Token.sampled.byte_count);
		Run.LogProbability = std::min(Run.LogProbability, Token.sampled.log_probability);
		bHolding = EndsInsideCodePoint(Run.Text);
	}

	/** Number of runs whose text is whole. */
	size_t Num() const { return Runs.size() - (bHolding ? 1 : 0); }

	const FTokenRun& operator[](size_t Index) const { return Runs[Index]; }

private:
	static std::vector<FTokenAlternative> AlternativesOf(const townsfolk_token_probability& Token)
	{
		std::vector<FTokenAlternative> Alternatives;
		for (size_t Index = 0; Index < Token.candidate_count; ++Index)
		{
			const townsfolk_token& Candidate = Token.candidates[Index];
			Alternatives.push_back(
				{std::string(Candidate.bytes, Candidate.byte_count), std::exp(Candidate.log_probability)});
		}
		return Alternatives;
	}

	static bool EndsInsideCodePoint(const std::string& Text)
	{
		for (size_t Back = 1; Back <= 3 && Back <= Text.size(); ++Back)
		{
			const auto Byte = static_cast<unsigned char>(Text[Text.size() - Back]);
			if ((Byte & 0xC0) != 0x80)
			{
				return CodePointSize(Byte) > Back;
			}
		}
		return false;
	}

	std::vector<FTokenRun> Runs;
	bool bHolding = false;
};
} // namespace Townsfolk
