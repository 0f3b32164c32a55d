// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "Engine/CancellableAsyncAction.h"
#include "TownsfolkRequests.h"

#include "TownsfolkAsyncAction.generated.h"

class UTownsfolkSubsystem;
class UWorld;

/** A latent node of Townsfolk: it ends with its requests, when it is cancelled, and with the world it was made in. */
UCLASS(Abstract)
class TOWNSFOLK_API UTownsfolkAsyncAction : public UCancellableAsyncAction
{
	GENERATED_BODY()

public:
	virtual void Cancel() override;

protected:
	/** For the factory functions: ties the node to the world of the object. */
	void Bind(const UObject* WorldContextObject);

	/** For Activate: the connection, or null outside of a game. */
	TSharedPtr<FTownsfolkConnection> Connect();

	/** The node has said its last: lets it be collected. */
	void End();

	FTownsfolkRequests Requests;

private:
	void HandleWorldCleanup(UWorld* CleanedWorld, bool bSessionEnded, bool bCleanupResources);

	TWeakObjectPtr<UWorld> World;
};
