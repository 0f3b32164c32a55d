// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "UObject/Object.h"

struct FDirectoryPath
{
	FString Path;
};

struct FFilePath
{
	FString FilePath;
};

namespace EEndPlayReason
{
enum Type : int
{
	Destroyed,
	LevelTransition,
	EndPlayInEditor,
	RemovedFromWorld,
	Quit
};
} // namespace EEndPlayReason

enum ELevelTick : int
{
	LEVELTICK_TimeOnly,
	LEVELTICK_ViewportsOnly,
	LEVELTICK_All
};

struct FActorComponentTickFunction
{
	bool bCanEverTick;
	bool bStartWithTickEnabled;
};
