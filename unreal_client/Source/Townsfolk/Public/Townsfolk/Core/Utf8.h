// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace Townsfolk
{
/** One code point of a UTF-8 text and how many bytes it takes. */
struct FCodePoint
{
	uint32_t Value;
	size_t Size;
};

/** Length in bytes of the code point that begins with Lead; 1 for a byte that begins none. */
inline size_t CodePointSize(unsigned char Lead)
{
	return Lead >= 0xF0 && Lead < 0xF8 ? 4 : Lead >= 0xE0 && Lead < 0xF0 ? 3 : Lead >= 0xC0 && Lead < 0xE0 ? 2 : 1;
}

/** The code point at Offset, which lies in Text. A byte that fits nowhere counts as U+FFFD of its own. */
inline FCodePoint CodePointAt(std::string_view Text, size_t Offset)
{
	const auto Byte = [Text](size_t Index)
	{
		return static_cast<unsigned char>(Text[Index]);
	};
	const unsigned char Lead = Byte(Offset);
	const size_t Size = CodePointSize(Lead);
	if (Lead < 0x80)
	{
		return {Lead, 1};
	}
	if (Size == 1 || Offset + Size > Text.size())
	{
		return {0xFFFD, 1};
	}
	uint32_t Value = Lead & (0x7Fu >> Size);
	for (size_t Index = 1; Index < Size; ++Index)
	{
		if ((Byte(Offset + Index) & 0xC0) != 0x80)
		{
			return {0xFFFD, 1};
		}
		Value = (Value << 6) | (Byte(Offset + Index) & 0x3Fu);
	}
	return {Value, Size};
}

/** Number of code points in Text. */
inline uint32_t CountCodePoints(std::string_view Text)
{
	uint32_t Count = 0;
	for (size_t Offset = 0; Offset < Text.size(); Offset += CodePointAt(Text, Offset).Size)
	{
		++Count;
	}
	return Count;
}

/** Byte offset of the code point number Index, or the end of a shorter text. */
inline size_t OffsetOfCodePoint(std::string_view Text, uint32_t Index)
{
	size_t Offset = 0;
	while (Index > 0 && Offset < Text.size())
	{
		Offset += CodePointAt(Text, Offset).Size;
		--Index;
	}
	return Offset;
}
} // namespace Townsfolk
