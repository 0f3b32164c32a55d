// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "UObject/Object.h"

class UBlueprintAsyncActionBase : public UObject
{
public:
	virtual void Activate();
	virtual void RegisterWithGameInstance(const UObject* WorldContextObject);
	virtual void SetReadyToDestroy();
};

class UCancellableAsyncAction : public UBlueprintAsyncActionBase
{
public:
	virtual void Cancel();
	virtual bool IsActive() const;
	virtual bool ShouldBroadcastDelegates() const;
};
