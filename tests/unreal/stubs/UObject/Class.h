// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "UObject/Object.h"

class UClass : public UObject
{
};

class UEnum : public UObject
{
public:
	template <typename TEnum>
		requires std::is_enum_v<TEnum>
	static FString GetValueAsString(TEnum Value);
};
