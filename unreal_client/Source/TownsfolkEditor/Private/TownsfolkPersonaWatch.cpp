// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkPersonaWatch.h"

#include "DirectoryWatcherModule.h"
#include "IDirectoryWatcher.h"
#include "Misc/Paths.h"
#include "Modules/ModuleManager.h"
#include "TownsfolkSettings.h"

namespace
{
/** Editors and trainers write a file in several steps. */
constexpr float SettleSeconds = 0.3f;

const FName DirectoryWatcherName(TEXT("DirectoryWatcher"));
} // namespace

FTownsfolkPersonaWatch::~FTownsfolkPersonaWatch()
{
	Stop();
}

bool FTownsfolkPersonaWatch::Watch(const FString& PersonaId)
{
	Stop();
	const FString Wanted =
		FPaths::Combine(GetDefault<UTownsfolkSettings>()->GetLaunchFolder(), TEXT("personas"), PersonaId);
	IDirectoryWatcher* Watcher = FModuleManager::LoadModuleChecked<FDirectoryWatcherModule>(DirectoryWatcherName).Get();
	if (PersonaId.IsEmpty() || Watcher == nullptr || !FPaths::DirectoryExists(Wanted))
	{
		return false;
	}
	Folder = Wanted;
	return Watcher->RegisterDirectoryChangedCallback_Handle(Folder,
		IDirectoryWatcher::FDirectoryChanged::CreateSP(this, &FTownsfolkPersonaWatch::HandleChanges), WatchHandle);
}

void FTownsfolkPersonaWatch::Stop()
{
	FTSTicker::GetCoreTicker().RemoveTicker(SettleHandle);
	SettleHandle.Reset();
	FDirectoryWatcherModule* Module = FModuleManager::GetModulePtr<FDirectoryWatcherModule>(DirectoryWatcherName);
	if (WatchHandle.IsValid() && Module != nullptr && Module->Get() != nullptr)
	{
		Module->Get()->UnregisterDirectoryChangedCallback_Handle(Folder, WatchHandle);
	}
	WatchHandle.Reset();
}

void FTownsfolkPersonaWatch::HandleChanges(const TArray<FFileChangeData>& Changes)
{
	FTSTicker::GetCoreTicker().RemoveTicker(SettleHandle);
	SettleHandle = FTSTicker::GetCoreTicker().AddTicker(
		FTickerDelegate::CreateSP(this, &FTownsfolkPersonaWatch::HandleSettled), SettleSeconds);
}

bool FTownsfolkPersonaWatch::HandleSettled(float DeltaSeconds)
{
	OnChanged.ExecuteIfBound();
	return false;
}
