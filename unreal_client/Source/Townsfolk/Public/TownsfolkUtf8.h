// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Containers/StringConv.h"
#include "Containers/UnrealString.h"

#include <string>

namespace Townsfolk
{
/** Text as the native client takes it. */
inline std::string ToUtf8(const FString& Text)
{
	const FTCHARToUTF8 Converted(*Text);
	return std::string(reinterpret_cast<const char*>(Converted.Get()), static_cast<size_t>(Converted.Length()));
}

/** Text as the native client gives it. */
inline FString FromUtf8(const char* Text)
{
	return FString(UTF8_TO_TCHAR(Text));
}

inline FString FromUtf8(const std::string& Text)
{
	return FromUtf8(Text.c_str());
}
} // namespace Townsfolk
