// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include <cstddef>
#include <cstdint>

#define TEXT(Literal) u##Literal
#define PLATFORM_WINDOWS 1
#define ALLOW_CONSOLE 1
#define check(Condition) (void)(Condition)

using uint8 = unsigned char;
using int32 = signed int;
using uint32 = unsigned int;
using int64 = signed long long;
using uint64 = unsigned long long;
using ANSICHAR = char;
using TCHAR = char16_t;

enum
{
	INDEX_NONE = -1
};
