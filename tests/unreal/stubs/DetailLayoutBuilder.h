// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"

class IDetailCategoryBuilder;

class IDetailLayoutBuilder
{
public:
	void GetObjectsBeingCustomized(TArray<TWeakObjectPtr<UObject>>& Objects) const;
	IDetailCategoryBuilder& EditCategory(FName Category);
};
