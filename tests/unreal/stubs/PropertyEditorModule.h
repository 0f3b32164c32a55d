// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Delegates/Delegate.h"
#include "IDetailCustomization.h"
#include "Modules/ModuleManager.h"

using FOnGetDetailCustomizationInstance = TDelegate<TSharedRef<IDetailCustomization>()>;

class FPropertyEditorModule : public IModuleInterface
{
public:
	void RegisterCustomClassLayout(FName Class, FOnGetDetailCustomizationInstance Delegate);
	void UnregisterCustomClassLayout(FName Class);
};
