// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Modules/ModuleInterface.h"

class IDirectoryWatcher;

class FDirectoryWatcherModule : public IModuleInterface
{
public:
	virtual IDirectoryWatcher* Get();
};
