// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "Modules/ModuleInterface.h"

class FSpawnTabArgs;
class FTownsfolkConnection;
class SDockTab;
class UObject;
struct FPropertyChangedEvent;

/** The editor module: the Persona Preview tab, the NPC component's details, and the editor's own connection. */
class FTownsfolkEditorModule : public IModuleInterface
{
public:
	static FTownsfolkEditorModule& Get();

	virtual void StartupModule() override;
	virtual void ShutdownModule() override;

	/** The editor's connection, made by the project settings when it is first needed. */
	TSharedRef<FTownsfolkConnection> GetConnection();

	/** The editor's connection, or null while none is needed. */
	TSharedPtr<FTownsfolkConnection> FindConnection() const { return Connection; }

	/** Fires when open streams are to be closed: play in editor ends, settings change, the editor exits. */
	FSimpleMulticastDelegate OnCloseStreams;

	/** Fires when the daemon's personas were listed. */
	FSimpleMulticastDelegate OnPersonasChanged;

private:
	TSharedRef<SDockTab> SpawnPreview(const FSpawnTabArgs& Arguments);
	void HandleEndPie(bool bIsSimulating);
	void HandlePersonasChanged();
	void HandleSettingChanged(UObject* Settings, FPropertyChangedEvent& Event);
	void CloseConnection();

	TSharedPtr<FTownsfolkConnection> Connection;
	FDelegateHandle SettingsHandle;
};
