// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/SWidget.h"

class FDetailWidgetDecl
{
public:
	FDetailWidgetDecl& operator[](TSharedRef<SWidget> Widget);
};

class FDetailWidgetRow
{
public:
	FDetailWidgetDecl& WholeRowContent();
};
