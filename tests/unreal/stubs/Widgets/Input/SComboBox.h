// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

template <typename TOption>
class SComboBox : public SWidget
{
public:
	SLATE_BEGIN_ARGS(SComboBox)
	{
	}
	WidgetArgsType& OptionsSource(const TArray<TOption>* Options);
	STUB_EVENT(OnGenerateWidget, TSharedRef<SWidget>, TOption)
	STUB_EVENT(OnSelectionChanged, void, TOption, ESelectInfo::Type)
	STUB_CONTENT()
	SLATE_END_ARGS()
	void RefreshOptions();
	void SetSelectedItem(TOption Option);
};
