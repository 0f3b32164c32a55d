// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

struct FSlateFontInfo;

class STextBlock : public SWidget
{
public:
	SLATE_BEGIN_ARGS(STextBlock)
	{
	}
	STUB_ATTRIBUTE(FText, Text)
	STUB_ATTRIBUTE(bool, AutoWrapText)
	WidgetArgsType& Font(const FSlateFontInfo& Font);
	SLATE_END_ARGS()
	void SetText(TAttribute<FText> Text);
};
