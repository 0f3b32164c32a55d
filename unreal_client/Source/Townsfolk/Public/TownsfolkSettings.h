// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "Engine/DeveloperSettings.h"
#include "Engine/EngineTypes.h"

#include "TownsfolkSettings.generated.h"

/** Project Settings > Plugins > Townsfolk. With all of it left as it is, the daemon of this machine is found by itself. */
UCLASS(Config = Game, DefaultConfig, meta = (DisplayName = "Townsfolk"))
class TOWNSFOLK_API UTownsfolkSettings : public UDeveloperSettings
{
	GENERATED_BODY()

public:
	virtual FName GetCategoryName() const override { return FName(TEXT("Plugins")); }

	/** "host:port" or "unix:/path". Empty: the daemon that runs on this machine for this user. */
	UPROPERTY(Config, EditAnywhere, Category = "Connection")
	FString Address;

	/** Token that the daemon asks for. Empty: the one it has announced to this user. */
	UPROPERTY(Config, EditAnywhere, Category = "Connection")
	FString Token;

	/** PEM file of the certificate authority to trust, for TLS. Empty: no TLS. */
	UPROPERTY(Config, EditAnywhere, Category = "Connection", meta = (FilePathFilter = "pem"))
	FFilePath TlsCertificate;

	/** Connect when the game starts, rather than at the first line. */
	UPROPERTY(Config, EditAnywhere, Category = "Connection")
	bool bConnectAtStart = true;

	/** Start a daemon if none runs. Ignored when an address is given. */
	UPROPERTY(Config, EditAnywhere, Category = "Launch")
	bool bLaunch = true;

	/** Command that starts the daemon. Empty: "townsfolk", looked for beside the game, in a virtual environment of the
	 * project and on the PATH. */
	UPROPERTY(Config, EditAnywhere, Category = "Launch", meta = (EditCondition = "bLaunch"))
	FString LaunchCommand;

	/** Folder in which the daemon starts; it holds "personas". Empty: the project's folder. */
	UPROPERTY(Config, EditAnywhere, Category = "Launch", meta = (EditCondition = "bLaunch"))
	FDirectoryPath LaunchFolder;

	/** Seconds that calls other than lines may take. */
	UPROPERTY(Config, EditAnywhere, Category = "Limits", meta = (ClampMin = "0.1"))
	float CallDeadlineSeconds = 10.0f;

	/** Seconds that a line may take if it names no deadline of its own. */
	UPROPERTY(Config, EditAnywhere, Category = "Limits", meta = (ClampMin = "0.1"))
	float TurnDeadlineSeconds = 120.0f;

	/** Milliseconds of a frame that events may take; what is left waits for the next one. */
	UPROPERTY(Config, EditAnywhere, Category = "Limits", meta = (ClampMin = "0.05", ClampMax = "16"))
	float EventBudgetMilliseconds = 1.0f;

	/** Events that may wait while the game does not tick, as during a long load. */
	UPROPERTY(Config, EditAnywhere, Category = "Limits", meta = (ClampMin = "64"))
	int32 MaxWaitingEvents = 8192;

	/** The folder in which the daemon is launched, as a full path. */
	FString GetLaunchFolder() const;
};
