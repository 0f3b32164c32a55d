// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.
// Declarations for a compile check without the engine; see README.md.

#pragma once

#include "Containers/UnrealString.h"
#include "Delegates/Delegate.h"
#include "Logging/LogMacros.h"
#include "Templates/SharedPointer.h"
#include "UObject/WeakObjectPtrTemplates.h"

#define LOCTEXT(Key, Text) FText::FromString(TEXT(Text))

struct FLinearColor
{
	FLinearColor(float Red, float Green, float Blue, float Alpha = 1.0f);
};

struct FMath
{
	template <typename T>
	static T Max(const T A, const T B);
	static double Exp(double Value);
};

bool IsInGameThread();
bool UObjectInitialized();
