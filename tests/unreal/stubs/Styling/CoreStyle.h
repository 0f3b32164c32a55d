// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Containers/UnrealString.h"

struct FSlateFontInfo
{
};

class FCoreStyle
{
public:
	static FSlateFontInfo GetDefaultFontStyle(const FName Typeface, const float Size);
};
