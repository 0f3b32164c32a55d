// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

class SScrollBox : public SWidget
{
public:
	struct FSlotArguments
	{
		FSlotArguments& operator[](const TSharedRef<SWidget>& Content);
	};
	SLATE_BEGIN_ARGS(SScrollBox)
	{
	}
	WidgetArgsType& operator+(FSlotArguments& Slot);
	SLATE_END_ARGS()
	static FSlotArguments& Slot();
};
