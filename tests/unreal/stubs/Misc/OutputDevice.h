// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Containers/UnrealString.h"

class FOutputDevice
{
public:
	void Log(const TCHAR* Text);
	void Log(const FString& Text);
};
