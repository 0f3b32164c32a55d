// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "Modules/ModuleInterface.h"
#include "Modules/ModuleManager.h"

class FTownsfolkConnection;

/** The runtime module: loads the native client's library. */
class TOWNSFOLK_API FTownsfolkModule : public IModuleInterface
{
public:
	static FTownsfolkModule& Get() { return FModuleManager::LoadModuleChecked<FTownsfolkModule>("Townsfolk"); }

	virtual void StartupModule() override;
	virtual void ShutdownModule() override;

	/** Why the native client cannot be used, or empty. */
	const FString& GetLibraryProblem() const { return LibraryProblem; }

	/** The connection that serves the editor while no game runs. The editor module sets it. */
	void SetEditorConnection(const TWeakPtr<FTownsfolkConnection>& Connection) { EditorConnection = Connection; }
	TSharedPtr<FTownsfolkConnection> GetEditorConnection() const { return EditorConnection.Pin(); }

private:
	void* LibraryHandle = nullptr;
	FString LibraryProblem;
	TWeakPtr<FTownsfolkConnection> EditorConnection;
};
