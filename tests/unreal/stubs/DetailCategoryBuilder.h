// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"

class FDetailWidgetRow;

class IDetailCategoryBuilder
{
public:
	FDetailWidgetRow& AddCustomRow(const FText& Filter, bool bForAdvanced = false);
};
