// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Containers/UnrealString.h"

struct FSlateBrush;

class FAppStyle
{
public:
	static const FSlateBrush* GetBrush(FName Name);
};
