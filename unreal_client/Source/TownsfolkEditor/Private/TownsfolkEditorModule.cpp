// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkEditorModule.h"

#include "Editor.h"
#include "Framework/Docking/TabManager.h"
#include "Misc/CoreDelegates.h"
#include "Modules/ModuleManager.h"
#include "PropertyEditorModule.h"
#include "STownsfolkPersonaPreview.h"
#include "TownsfolkConnection.h"
#include "TownsfolkModule.h"
#include "TownsfolkNpcComponent.h"
#include "TownsfolkNpcDetails.h"
#include "TownsfolkSettings.h"
#include "UObject/Class.h"
#include "Widgets/Docking/SDockTab.h"
#include "WorkspaceMenuStructure.h"
#include "WorkspaceMenuStructureModule.h"

#define LOCTEXT_NAMESPACE "TownsfolkEditor"

namespace
{
const FName PreviewTab(TEXT("TownsfolkPersonaPreview"));
const FName PropertyEditor(TEXT("PropertyEditor"));
} // namespace

FTownsfolkEditorModule& FTownsfolkEditorModule::Get()
{
	return FModuleManager::LoadModuleChecked<FTownsfolkEditorModule>(TEXT("TownsfolkEditor"));
}

void FTownsfolkEditorModule::StartupModule()
{
	FGlobalTabmanager::Get()
		->RegisterNomadTabSpawner(PreviewTab, FOnSpawnTab::CreateRaw(this, &FTownsfolkEditorModule::SpawnPreview))
		.SetDisplayName(LOCTEXT("PreviewTitle", "Persona Preview"))
		.SetTooltipText(LOCTEXT("PreviewTip", "Hear a line of a persona beside the base model."))
		.SetGroup(WorkspaceMenu::GetMenuStructure().GetToolsCategory());

	FModuleManager::LoadModuleChecked<FPropertyEditorModule>(PropertyEditor)
		.RegisterCustomClassLayout(UTownsfolkNpcComponent::StaticClass()->GetFName(),
			FOnGetDetailCustomizationInstance::CreateStatic(&FTownsfolkNpcDetails::MakeInstance));

	FEditorDelegates::EndPIE.AddRaw(this, &FTownsfolkEditorModule::HandleEndPie);
	FCoreDelegates::OnEnginePreExit.AddRaw(this, &FTownsfolkEditorModule::CloseConnection);
	SettingsHandle = GetMutableDefault<UTownsfolkSettings>()->OnSettingChanged().AddRaw(
		this, &FTownsfolkEditorModule::HandleSettingChanged);
}

void FTownsfolkEditorModule::ShutdownModule()
{
	CloseConnection();
	FEditorDelegates::EndPIE.RemoveAll(this);
	FCoreDelegates::OnEnginePreExit.RemoveAll(this);
	if (UObjectInitialized())
	{
		GetMutableDefault<UTownsfolkSettings>()->OnSettingChanged().Remove(SettingsHandle);
		if (FPropertyEditorModule* Properties = FModuleManager::GetModulePtr<FPropertyEditorModule>(PropertyEditor))
		{
			Properties->UnregisterCustomClassLayout(UTownsfolkNpcComponent::StaticClass()->GetFName());
		}
	}
	FGlobalTabmanager::Get()->UnregisterNomadTabSpawner(PreviewTab);
}

TSharedRef<FTownsfolkConnection> FTownsfolkEditorModule::GetConnection()
{
	if (!Connection.IsValid())
	{
		Connection = FTownsfolkConnection::Open(*GetDefault<UTownsfolkSettings>());
		Connection->OnPersonasChanged.AddRaw(this, &FTownsfolkEditorModule::HandlePersonasChanged);
		FTownsfolkModule::Get().SetEditorConnection(Connection);
	}
	return Connection.ToSharedRef();
}

TSharedRef<SDockTab> FTownsfolkEditorModule::SpawnPreview(const FSpawnTabArgs& Arguments)
{
	// clang-format off
	return SNew(SDockTab)
		.TabRole(ETabRole::NomadTab)
		[
			SNew(STownsfolkPersonaPreview)
		];
	// clang-format on
}

void FTownsfolkEditorModule::HandleEndPie(bool bIsSimulating)
{
	OnCloseStreams.Broadcast();
}

void FTownsfolkEditorModule::HandlePersonasChanged()
{
	OnPersonasChanged.Broadcast();
}

void FTownsfolkEditorModule::HandleSettingChanged(UObject* Settings, FPropertyChangedEvent& Event)
{
	if (Connection.IsValid())
	{
		CloseConnection();
		GetConnection();
	}
}

void FTownsfolkEditorModule::CloseConnection()
{
	OnCloseStreams.Broadcast();
	if (Connection.IsValid())
	{
		Connection->OnPersonasChanged.RemoveAll(this);
		Connection->Close();
		Connection.Reset();
	}
}

#undef LOCTEXT_NAMESPACE

IMPLEMENT_MODULE(FTownsfolkEditorModule, TownsfolkEditor)
