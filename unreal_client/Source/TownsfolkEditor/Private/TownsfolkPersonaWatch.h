// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Containers/Ticker.h"
#include "CoreMinimal.h"

struct FFileChangeData;

/** Tells when files of a persona's folder change on disk. */
class FTownsfolkPersonaWatch : public TSharedFromThis<FTownsfolkPersonaWatch>
{
public:
	~FTownsfolkPersonaWatch();

	/** Watches another persona's folder; an empty id watches none. False if the folder is not on this machine. */
	bool Watch(const FString& PersonaId);

	/** Fires once for a burst of changes, after it has settled. */
	FSimpleDelegate OnChanged;

private:
	void Stop();
	void HandleChanges(const TArray<FFileChangeData>& Changes);
	bool HandleSettled(float DeltaSeconds);

	FString Folder;
	FDelegateHandle WatchHandle;
	FTSTicker::FDelegateHandle SettleHandle;
};
