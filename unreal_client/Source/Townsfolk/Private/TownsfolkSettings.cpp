// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkSettings.h"

#include "Misc/Paths.h"

FString UTownsfolkSettings::GetLaunchFolder() const
{
	const FString Project = FPaths::ConvertRelativePathToFull(FPaths::ProjectDir());
	return LaunchFolder.Path.IsEmpty() ? Project : FPaths::ConvertRelativePathToFull(Project, LaunchFolder.Path);
}
