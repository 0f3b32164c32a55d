// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Townsfolk/Core/Graphemes.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace Townsfolk
{
/**
 * Shows a line character by character while it still streams in, and knows how much of it was shown.
 *
 * Never shows a part of a character as a reader sees it: the last one waits until text follows it or the line ends,
 * since an accent or the second half of a flag may still come.
 */
class FTypewriter
{
public:
	/** Begins an empty line. 0 characters a second shows text as it comes. */
	void Start(double InCharactersPerSecond)
	{
		*this = FTypewriter();
		CharactersPerSecond = InCharactersPerSecond;
	}

	void Append(std::string_view Text)
	{
		Line.append(Text);
		if (CharactersPerSecond <= 0)
		{
			ShownBytes = Line.size();
		}
	}

	/** The line is over and reads WholeLine. Goes on from where it was, or anew should the line differ. True if more is
	 * shown now. */
	bool Finish(std::string_view WholeLine)
	{
		const size_t Before = ShownBytes;
		if (WholeLine.substr(0, ShownBytes) != Shown())
		{
			ShownBytes = 0;
		}
		Line = WholeLine;
		bFinished = true;
		if (CharactersPerSecond <= 0)
		{
			ShownBytes = Line.size();
		}
		return ShownBytes != Before;
	}

	/** The line ends where it stands: nothing more is shown. */
	void Stop()
	{
		Line.resize(ShownBytes);
		bFinished = true;
	}

	/** Lets time pass. True if more is shown now. */
	bool Advance(double Seconds)
	{
		const size_t Before = ShownBytes;
		Due += Seconds * CharactersPerSecond;
		while (Due >= 1 && ShownBytes < Line.size())
		{
			const size_t End = GraphemeEnd(Line, ShownBytes);
			if (End == Line.size() && !bFinished)
			{
				break;
			}
			ShownBytes = End;
			Due -= 1;
		}
		// Time spent waiting for text does not make the text that follows appear all at once.
		Due = std::min(Due, 1.0);
		return ShownBytes != Before;
	}

	std::string_view Shown() const { return std::string_view(Line).substr(0, ShownBytes); }

	/** Number of code points shown, as `townsfolk_heard` wants it. */
	uint32_t ShownCodePoints() const { return CountCodePoints(Shown()); }

	/** Whether the whole line came and is shown. */
	bool IsDone() const { return bFinished && ShownBytes == Line.size(); }

private:
	std::string Line;
	size_t ShownBytes = 0;
	double CharactersPerSecond = 0;
	double Due = 0;
	bool bFinished = false;
};
} // namespace Townsfolk
