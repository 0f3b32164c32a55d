// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "UObject/Object.h"

class UTexture2D : public UObject
{
};
