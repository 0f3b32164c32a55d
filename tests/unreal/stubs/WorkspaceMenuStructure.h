// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Templates/SharedPointer.h"

class FWorkspaceItem;

class IWorkspaceMenuStructure
{
public:
	virtual TSharedRef<FWorkspaceItem> GetToolsCategory() const = 0;
};
