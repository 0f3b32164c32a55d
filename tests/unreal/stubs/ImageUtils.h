// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Containers/Array.h"

class UTexture2D;

class FImageUtils
{
public:
	static UTexture2D* ImportBufferAsTexture2D(const TArray<uint8>& Buffer);
};
