// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

template <typename TNumber>
class SSpinBox : public SWidget
{
public:
	SLATE_BEGIN_ARGS(SSpinBox)
	{
	}
	STUB_ATTRIBUTE(TNumber, Value)
	STUB_ATTRIBUTE(TNumber, MinValue)
	STUB_ATTRIBUTE(TNumber, MaxValue)
	STUB_ATTRIBUTE(TNumber, Delta)
	STUB_EVENT(OnValueChanged, void, TNumber)
	SLATE_END_ARGS()
};
