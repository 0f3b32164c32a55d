// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

class SVerticalBox : public SWidget
{
public:
	struct FSlotArguments
	{
		FSlotArguments& AutoHeight();
		FSlotArguments& FillHeight(TAttribute<float> Share);
		FSlotArguments& Padding(float Uniform);
		FSlotArguments& Padding(float Horizontal, float Vertical);
		FSlotArguments& Padding(float Left, float Top, float Right, float Bottom);
		FSlotArguments& operator[](const TSharedRef<SWidget>& Content);
	};
	SLATE_BEGIN_ARGS(SVerticalBox)
	{
	}
	WidgetArgsType& operator+(FSlotArguments& Slot);
	SLATE_END_ARGS()
	static FSlotArguments& Slot();
};

class SHorizontalBox : public SWidget
{
public:
	struct FSlotArguments
	{
		FSlotArguments& AutoWidth();
		FSlotArguments& FillWidth(TAttribute<float> Share);
		FSlotArguments& Padding(float Uniform);
		FSlotArguments& Padding(float Horizontal, float Vertical);
		FSlotArguments& Padding(float Left, float Top, float Right, float Bottom);
		FSlotArguments& operator[](const TSharedRef<SWidget>& Content);
	};
	SLATE_BEGIN_ARGS(SHorizontalBox)
	{
	}
	WidgetArgsType& operator+(FSlotArguments& Slot);
	SLATE_END_ARGS()
	static FSlotArguments& Slot();
	FSlotArguments AddSlot();
};
