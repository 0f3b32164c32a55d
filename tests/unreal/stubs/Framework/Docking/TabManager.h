// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"

class FSpawnTabArgs;
class FWorkspaceItem;
class SDockTab;

using FOnSpawnTab = TDelegate<TSharedRef<SDockTab>(const FSpawnTabArgs&)>;

struct FTabSpawnerEntry
{
	FTabSpawnerEntry& SetDisplayName(const FText& Name);
	FTabSpawnerEntry& SetTooltipText(const FText& Text);
	FTabSpawnerEntry& SetGroup(const TSharedRef<FWorkspaceItem>& Group);
};

class FGlobalTabmanager
{
public:
	static const TSharedRef<FGlobalTabmanager>& Get();
	FTabSpawnerEntry& RegisterNomadTabSpawner(const FName Name, const FOnSpawnTab& OnSpawn);
	void UnregisterNomadTabSpawner(const FName Name);
};
