// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "UObject/ObjectMacros.h"

class UClass;
class UWorld;

class UObject
{
public:
	virtual ~UObject() = default;
	FString GetPathName() const;
	FName GetFName() const;
	virtual UWorld* GetWorld() const;
};

template <typename T>
T* NewObject();
template <typename T>
const T* GetDefault();
template <typename T>
T* GetMutableDefault();
template <typename TTo, typename TFrom>
TTo* Cast(TFrom* Object);
