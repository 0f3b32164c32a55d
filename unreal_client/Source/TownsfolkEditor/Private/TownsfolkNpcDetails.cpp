// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkNpcDetails.h"

#include "DetailCategoryBuilder.h"
#include "DetailLayoutBuilder.h"
#include "DetailWidgetRow.h"
#include "STownsfolkTryIt.h"
#include "TownsfolkConnection.h"
#include "TownsfolkEditorModule.h"
#include "TownsfolkNpcComponent.h"

#define LOCTEXT_NAMESPACE "TownsfolkNpcDetails"

TSharedRef<IDetailCustomization> FTownsfolkNpcDetails::MakeInstance()
{
	return MakeShared<FTownsfolkNpcDetails>();
}

void FTownsfolkNpcDetails::CustomizeDetails(IDetailLayoutBuilder& Builder)
{
	// The picker of personas is filled from the editor's connection.
	FTownsfolkEditorModule::Get().GetConnection();

	TArray<TWeakObjectPtr<UObject>> Objects;
	Builder.GetObjectsBeingCustomized(Objects);
	UTownsfolkNpcComponent* Npc = Objects.Num() == 1 ? Cast<UTownsfolkNpcComponent>(Objects[0].Get()) : nullptr;
	if (Npc == nullptr)
	{
		return;
	}
	// clang-format off
	Builder.EditCategory("Townsfolk")
		.AddCustomRow(LOCTEXT("TryItFilter", "Try it"))
		.WholeRowContent()
		[
			SNew(STownsfolkTryIt)
			.Npc(TWeakObjectPtr<UTownsfolkNpcComponent>(Npc))
		];
	// clang-format on
}

#undef LOCTEXT_NAMESPACE
