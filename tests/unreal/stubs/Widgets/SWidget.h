// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Widgets/DeclarativeSyntaxSupport.h"

class SWidget : public TSharedFromThis<SWidget>
{
public:
	virtual ~SWidget() = default;
};
