// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "UObject/Object.h"

class UGameInstance : public UObject
{
public:
	template <typename TSubsystem>
	TSubsystem* GetSubsystem() const;
};
