// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Containers/UnrealString.h"
#include "Delegates/Delegate.h"

struct FFileChangeData;

class IDirectoryWatcher
{
public:
	using FDirectoryChanged = TDelegate<void(const TArray<FFileChangeData>&)>;
	virtual bool RegisterDirectoryChangedCallback_Handle(
		const FString& Directory, const FDirectoryChanged& Delegate, FDelegateHandle& Handle, uint32 Flags = 0) = 0;
	virtual bool UnregisterDirectoryChangedCallback_Handle(const FString& Directory, FDelegateHandle Handle) = 0;
};
