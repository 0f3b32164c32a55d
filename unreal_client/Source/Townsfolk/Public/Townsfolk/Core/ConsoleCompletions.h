// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Townsfolk/Core/ConsoleLine.h"
#include "townsfolk_client.h"

#include <deque>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace Townsfolk
{
/** A whole console line that the daemon understands so far, and what it does. */
struct FConsoleEntry
{
	std::string Line;
	std::string Description;
};

/**
 * What the daemon's console can be told, gathered by asking it to complete line after line.
 *
 * Unreal's console completes from a list that must be there before anybody types, while the daemon completes the line at
 * hand. So the list is grown from the empty line: every answer brings entries, and each of those is asked about in turn,
 * down to a command and its first argument.
 */
class FConsoleCompletions
{
public:
	static constexpr size_t MaxEntries = 1024;
	static constexpr size_t MaxQuestions = 64;
	static constexpr size_t MaxWords = 2;

	FConsoleCompletions() { Reset(); }

	/** Begins anew, as after a change of personas. */
	void Reset()
	{
		List.clear();
		Known.clear();
		Questions.assign(1, "");
		Asked = 0;
	}

	/** Whether there is a line to ask the daemon to complete. */
	bool HasQuestion() const { return !Questions.empty() && Asked < MaxQuestions; }

	/** The next such line. */
	std::string TakeQuestion()
	{
		std::string Line = std::move(Questions.front());
		Questions.pop_front();
		++Asked;
		return Line;
	}

	/** Takes the answer to Line, an event of kind COMPLETIONS. */
	void TakeAnswer(const std::string& Line, const townsfolk_event& Answer)
	{
		for (size_t Index = 0; Index < Answer.completion_count && List.size() < MaxEntries; ++Index)
		{
			const townsfolk_completion& Completion = Answer.completions[Index];
			std::string Whole = SpliceCompletion(Line, Answer.replace_start, Answer.replace_end, Completion.text);
			while (!Whole.empty() && Whole.back() == ' ')
			{
				Whole.pop_back();
			}
			if (Whole.empty() || !Known.insert(Whole).second)
			{
				continue;
			}
			List.push_back({Whole, Completion.description});
			if (CountWords(Whole) < MaxWords)
			{
				Questions.push_back(Whole + " ");
			}
		}
	}

	const std::vector<FConsoleEntry>& Entries() const { return List; }

private:
	static size_t CountWords(std::string_view Line)
	{
		size_t Count = 1;
		for (const char Character : Line)
		{
			Count += Character == ' ' ? 1 : 0;
		}
		return Count;
	}

	std::vector<FConsoleEntry> List;
	std::unordered_set<std::string> Known;
	std::deque<std::string> Questions;
	size_t Asked = 0;
};
} // namespace Townsfolk
