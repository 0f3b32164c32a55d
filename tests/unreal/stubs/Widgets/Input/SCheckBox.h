// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

enum class ECheckBoxState : uint8
{
	Unchecked,
	Checked,
	Undetermined
};

class SCheckBox : public SWidget
{
public:
	SLATE_BEGIN_ARGS(SCheckBox)
	{
	}
	STUB_TOOLTIP()
	STUB_ATTRIBUTE(ECheckBoxState, IsChecked)
	STUB_EVENT(OnCheckStateChanged, void, ECheckBoxState)
	STUB_CONTENT()
	SLATE_END_ARGS()
};
