// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Delegates/Delegate.h"

#include "Containers/UnrealString.h"

class FOutputDevice;
class UWorld;

using FConsoleCommandWithWorldArgsAndOutputDeviceDelegate =
	TDelegate<void(const TArray<FString>&, UWorld*, FOutputDevice&)>;

class FAutoConsoleCommandWithWorldArgsAndOutputDevice
{
public:
	FAutoConsoleCommandWithWorldArgsAndOutputDevice(const TCHAR* Name, const TCHAR* Help,
		const FConsoleCommandWithWorldArgsAndOutputDeviceDelegate& Command, uint32 Flags = 0);
};
