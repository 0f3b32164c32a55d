// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

class SButton : public SWidget
{
public:
	SLATE_BEGIN_ARGS(SButton)
	{
	}
	STUB_TOOLTIP()
	STUB_ATTRIBUTE(FText, Text)
	STUB_EVENT(OnClicked, FReply)
	SLATE_END_ARGS()
};
