// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Townsfolk/Core/Utf8.h"

#include <string>
#include <string_view>
#include <vector>

namespace Townsfolk
{
/** A word as a POSIX shell takes it back: in single quotes unless it holds nothing that needs them. */
inline std::string QuoteWord(std::string_view Word)
{
	constexpr std::string_view Plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:,/@%+=";
	if (!Word.empty() && Word.find_first_not_of(Plain) == std::string_view::npos)
	{
		return std::string(Word);
	}
	std::string Quoted = "'";
	for (const char Character : Word)
	{
		if (Character == '\'')
		{
			Quoted += "'\"'\"'";
		}
		else
		{
			Quoted += Character;
		}
	}
	return Quoted + "'";
}

/** Words with a space between each, from number First on. */
inline std::string JoinWords(const std::vector<std::string>& Words, size_t First = 0)
{
	std::string Joined;
	for (size_t Index = First; Index < Words.size(); ++Index)
	{
		Joined += (Joined.empty() ? "" : " ") + Words[Index];
	}
	return Joined;
}

/** Text without the quotes that stand around the whole of it. */
inline std::string_view WithoutOuterQuotes(std::string_view Text)
{
	const bool bQuoted =
		Text.size() >= 2 && (Text.front() == '"' || Text.front() == '\'') && Text.back() == Text.front();
	return bQuoted ? Text.substr(1, Text.size() - 2) : Text;
}

/**
 * The daemon's command line for `Townsfolk.Say persona some words`. Unreal splits a console line at spaces and knows no
 * quotes, so all that follows the persona is the line, also what looks like an option. Empty if one of both is missing.
 */
inline std::string SayCommand(const std::vector<std::string>& Words)
{
	const std::string Spoken = JoinWords(Words, 1);
	const std::string_view Text = WithoutOuterQuotes(Spoken);
	if (Words.empty() || Text.empty())
	{
		return "";
	}
	return "npc.say " + QuoteWord(Words[0]) + " -- " + QuoteWord(Text);
}

/** A console line after a completion took the place of its code points from Start up to End. */
inline std::string SpliceCompletion(std::string_view Line, uint32_t Start, uint32_t End, std::string_view Completion)
{
	const size_t First = OffsetOfCodePoint(Line, Start);
	const size_t After = End < Start ? First : OffsetOfCodePoint(Line, End);
	return std::string(Line.substr(0, First)) + std::string(Completion) + std::string(Line.substr(After));
}
} // namespace Townsfolk
