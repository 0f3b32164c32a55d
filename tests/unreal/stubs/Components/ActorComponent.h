// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Engine/EngineTypes.h"

class UActorComponent : public UObject
{
public:
	FActorComponentTickFunction PrimaryComponentTick;
	virtual void SetComponentTickEnabled(bool bEnabled);
	virtual void EndPlay(const EEndPlayReason::Type EndPlayReason);
	virtual void TickComponent(float DeltaTime, ELevelTick TickType, FActorComponentTickFunction* ThisTickFunction);
};
