// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "UObject/Object.h"

class UGameInstance;
class UGameViewportClient;

class UWorld : public UObject
{
public:
	UGameInstance* GetGameInstance() const;
	UGameViewportClient* GetGameViewport() const;
};

class FWorldDelegates
{
public:
	using FWorldCleanupEvent = TMulticastDelegate<void(UWorld*, bool, bool)>;
	static FWorldCleanupEvent OnWorldCleanup;
};
