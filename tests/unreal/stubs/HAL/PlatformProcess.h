// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "HAL/Platform.h"

struct FPlatformProcess
{
	static void* GetDllHandle(const TCHAR* Filename);
	static void FreeDllHandle(void* Handle);
};
