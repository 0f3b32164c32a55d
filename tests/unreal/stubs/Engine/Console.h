// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "UObject/Object.h"

struct FAutoCompleteCommand
{
	FString Command;
	FString Desc;
};

class UConsole : public UObject
{
public:
	using FRegisterConsoleAutoCompleteEntries = TMulticastDelegate<void(TArray<FAutoCompleteCommand>&)>;
	static FRegisterConsoleAutoCompleteEntries RegisterConsoleAutoCompleteEntries;
	virtual void OutputText(const FString& Text);
	virtual void BuildRuntimeAutoCompleteList(bool bForce = false);
};
