// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Containers/UnrealString.h"

class FPaths
{
public:
	template <typename... TParts>
	static FString Combine(TParts&&... Parts);
	static FString ProjectDir();
	static bool DirectoryExists(const FString& Path);
	static FString ConvertRelativePathToFull(const FString& Path);
	static FString ConvertRelativePathToFull(const FString& Base, const FString& Path);
};
