// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Delegates/Delegate.h"

using FTickerDelegate = TDelegate<bool(float)>;

class FTSTicker
{
public:
	struct FElement;
	using FDelegateHandle = TWeakPtr<FElement>;
	static FTSTicker& GetCoreTicker();
	FDelegateHandle AddTicker(const FTickerDelegate& Delegate, float Delay = 0.0f);
	static void RemoveTicker(FDelegateHandle Handle);
};
