// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "HAL/Platform.h"

class FTCHARToUTF8
{
public:
	explicit FTCHARToUTF8(const TCHAR* Text);
	const ANSICHAR* Get() const;
	int32 Length() const;
};

const TCHAR* StubUtf8ToTchar(const char* Text);
#define UTF8_TO_TCHAR(Text) StubUtf8ToTchar(Text)
