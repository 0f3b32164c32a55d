// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "UObject/Object.h"

struct FPropertyChangedEvent;

class UDeveloperSettings : public UObject
{
public:
	using FSettingsChangedEvent = TMulticastDelegate<void(UObject*, FPropertyChangedEvent&)>;
	virtual FName GetCategoryName() const;
	FSettingsChangedEvent& OnSettingChanged();
};
