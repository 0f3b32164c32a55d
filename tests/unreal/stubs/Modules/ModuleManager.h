// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Containers/UnrealString.h"
#include "Modules/ModuleInterface.h"

class FModuleManager
{
public:
	template <typename TModule>
	static TModule& LoadModuleChecked(const FName Name);
	template <typename TModule>
	static TModule* GetModulePtr(const FName Name);
};

#define IMPLEMENT_MODULE(Class, Name)                                                                                  \
	extern "C" IModuleInterface* InitializeModule_##Name()                                                             \
	{                                                                                                                  \
		return new Class;                                                                                              \
	}
