// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Townsfolk/Core/GraphemeRanges.h"
#include "Townsfolk/Core/Utf8.h"

#include <algorithm>
#include <iterator>

namespace Townsfolk
{
template <size_t Count>
bool IsIn(const FCodePointRange (&Ranges)[Count], uint32_t CodePoint)
{
	const FCodePointRange* Found = std::lower_bound(std::begin(Ranges), std::end(Ranges), CodePoint,
		[](const FCodePointRange& Range, uint32_t Value) { return Range.Last < Value; });
	return Found != std::end(Ranges) && Found->First <= CodePoint;
}

/** Parts of Hangul syllables, which stand in the order leading consonant, vowel, trailing consonant. */
enum class EHangul
{
	None,
	Leading,
	Vowel,
	Trailing,
	LeadingVowel,
	LeadingVowelTrailing
};

inline EHangul HangulOf(uint32_t CodePoint)
{
	const auto Within = [CodePoint](uint32_t First, uint32_t Last)
	{
		return CodePoint >= First && CodePoint <= Last;
	};
	if (Within(0x1100, 0x115F) || Within(0xA960, 0xA97C))
	{
		return EHangul::Leading;
	}
	if (Within(0x1160, 0x11A7) || Within(0xD7B0, 0xD7C6))
	{
		return EHangul::Vowel;
	}
	if (Within(0x11A8, 0x11FF) || Within(0xD7CB, 0xD7FB))
	{
		return EHangul::Trailing;
	}
	if (Within(0xAC00, 0xD7A3))
	{
		return (CodePoint - 0xAC00) % 28 == 0 ? EHangul::LeadingVowel : EHangul::LeadingVowelTrailing;
	}
	return EHangul::None;
}

inline bool IsOneHangulSyllable(EHangul Before, EHangul After)
{
	switch (Before)
	{
	case EHangul::Leading:
		return After != EHangul::None && After != EHangul::Trailing;
	case EHangul::Vowel:
	case EHangul::LeadingVowel:
		return After == EHangul::Vowel || After == EHangul::Trailing;
	case EHangul::Trailing:
	case EHangul::LeadingVowelTrailing:
		return After == EHangul::Trailing;
	default:
		return false;
	}
}

/** Half of a flag. */
inline bool IsRegionalIndicator(uint32_t CodePoint)
{
	return CodePoint >= 0x1F1E6 && CodePoint <= 0x1F1FF;
}

/**
 * Byte offset after the character, as a reader sees it, that begins at Offset.
 *
 * Follows the rules of Unicode's UAX #29 for extended grapheme clusters, and is coarser where those need the context of
 * a whole line: never ends inside of a cluster, and now and then takes two for one. Engine-free, so that what a player
 * has heard is counted alike in game and in test.
 */
inline size_t GraphemeEnd(std::string_view Text, size_t Offset)
{
	FCodePoint Before = CodePointAt(Text, Offset);
	bool bJoinsNext = IsIn(NeverBreakAfter, Before.Value);
	bool bHalfFlag = IsRegionalIndicator(Before.Value);
	Offset += Before.Size;
	while (Offset < Text.size())
	{
		const FCodePoint Next = CodePointAt(Text, Offset);
		const bool bExtends = IsIn(NeverBreakBefore, Next.Value);
		const bool bFlag = bHalfFlag && IsRegionalIndicator(Next.Value);
		const bool bLineBreak = Before.Value == '\r' && Next.Value == '\n';
		if (!bExtends && !bJoinsNext && !bFlag && !bLineBreak &&
			!IsOneHangulSyllable(HangulOf(Before.Value), HangulOf(Next.Value)))
		{
			break;
		}
		bJoinsNext = IsIn(NeverBreakAfter, Next.Value) || (bJoinsNext && bExtends);
		bHalfFlag = IsRegionalIndicator(Next.Value) && !bFlag;
		Before = Next;
		Offset += Next.Size;
	}
	return Offset;
}
} // namespace Townsfolk
