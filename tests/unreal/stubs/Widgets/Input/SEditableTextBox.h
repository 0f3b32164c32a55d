// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

class SEditableTextBox : public SWidget
{
public:
	SLATE_BEGIN_ARGS(SEditableTextBox)
	{
	}
	STUB_ATTRIBUTE(FText, HintText)
	STUB_EVENT(OnTextCommitted, void, const FText&, ETextCommit::Type)
	SLATE_END_ARGS()
	FText GetText() const;
};
