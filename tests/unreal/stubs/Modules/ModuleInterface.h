// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

class IModuleInterface
{
public:
	virtual ~IModuleInterface() = default;
	virtual void StartupModule() {}
	virtual void ShutdownModule() {}
};
