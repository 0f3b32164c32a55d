// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "UObject/Object.h"

class UConsole;

class UGameViewportClient : public UObject
{
public:
	TObjectPtr<UConsole> ViewportConsole;
};
