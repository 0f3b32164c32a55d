// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkModule.h"

#include "HAL/PlatformProcess.h"
#include "Interfaces/IPluginManager.h"
#include "Misc/Paths.h"
#include "TownsfolkLog.h"

DEFINE_LOG_CATEGORY(LogTownsfolk);

void FTownsfolkModule::StartupModule()
{
#if PLATFORM_WINDOWS
	// The library is delay-loaded and lies in the plugin, where Windows does not look by itself.
	const TSharedPtr<IPlugin> Plugin = IPluginManager::Get().FindPlugin(TEXT("Townsfolk"));
	const FString Folder = Plugin.IsValid() ? Plugin->GetBaseDir() : FString();
	const FString Library =
		FPaths::Combine(Folder, TEXT("Source/ThirdParty/TownsfolkClient/Lib/Win64/townsfolk_client.dll"));
	LibraryHandle = FPlatformProcess::GetDllHandle(*Library);
	if (LibraryHandle == nullptr)
	{
		LibraryProblem = FString::Printf(TEXT("%s cannot be loaded: stage it with Tools/stage.py."), *Library);
		UE_LOG(LogTownsfolk, Error, TEXT("%s"), *LibraryProblem);
	}
#endif
}

void FTownsfolkModule::ShutdownModule()
{
	if (LibraryHandle != nullptr)
	{
		FPlatformProcess::FreeDllHandle(LibraryHandle);
		LibraryHandle = nullptr;
	}
}

IMPLEMENT_MODULE(FTownsfolkModule, Townsfolk)
