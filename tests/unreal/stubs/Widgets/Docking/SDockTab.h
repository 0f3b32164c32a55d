// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

enum ETabRole : unsigned char
{
	MajorTab,
	PanelTab,
	NomadTab
};

class SDockTab : public SWidget
{
public:
	SLATE_BEGIN_ARGS(SDockTab)
	{
	}
	WidgetArgsType& TabRole(ETabRole Role);
	STUB_CONTENT()
	SLATE_END_ARGS()
};
