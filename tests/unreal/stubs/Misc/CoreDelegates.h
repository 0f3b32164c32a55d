// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Delegates/Delegate.h"

struct FCoreDelegates
{
	static FSimpleMulticastDelegate OnEnginePreExit;
};
