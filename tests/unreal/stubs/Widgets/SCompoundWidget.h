// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

class SCompoundWidget : public SWidget
{
protected:
	struct FStubChildSlot
	{
		FStubChildSlot& operator[](const TSharedRef<SWidget>& Content);
	} ChildSlot;
};
