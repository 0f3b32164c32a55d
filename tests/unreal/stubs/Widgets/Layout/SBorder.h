// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

struct FSlateBrush;

class FSlateColor
{
public:
	FSlateColor(const FLinearColor& Colour);
};

class SBorder : public SWidget
{
public:
	SLATE_BEGIN_ARGS(SBorder)
	{
	}
	STUB_TOOLTIP()
	STUB_ATTRIBUTE(float, Padding)
	STUB_ATTRIBUTE(const FSlateBrush*, BorderImage)
	STUB_ATTRIBUTE(FSlateColor, BorderBackgroundColor)
	STUB_CONTENT()
	SLATE_END_ARGS()
};
