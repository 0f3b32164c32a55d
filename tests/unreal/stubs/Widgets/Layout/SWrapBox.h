// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

class SWrapBox : public SWidget
{
public:
	struct FSlotArguments
	{
		FSlotArguments& operator[](const TSharedRef<SWidget>& Content);
	};
	SLATE_BEGIN_ARGS(SWrapBox)
	{
	}
	STUB_ATTRIBUTE(bool, UseAllottedSize)
	SLATE_END_ARGS()
	FSlotArguments AddSlot();
	void ClearChildren();
};
