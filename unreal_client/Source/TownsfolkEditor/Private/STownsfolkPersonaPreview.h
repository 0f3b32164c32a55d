// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "TownsfolkRequests.h"
#include "TownsfolkTypes.h"
#include "Types/SlateEnums.h"
#include "Widgets/DeclarativeSyntaxSupport.h"
#include "Widgets/Input/SComboBox.h"
#include "Widgets/SCompoundWidget.h"

#include "Townsfolk/Core/Comparison.h"

class FTownsfolkPersonaWatch;
class SEditableTextBox;
class STownsfolkPreviewColumn;
enum class ECheckBoxState : uint8;

/** The Persona Preview: a line of a persona beside the same without adapter, and without persona. */
class STownsfolkPersonaPreview : public SCompoundWidget
{
public:
	SLATE_BEGIN_ARGS(STownsfolkPersonaPreview)
	{
	}
	SLATE_END_ARGS()

	void Construct(const FArguments& InArgs);

private:
	TSharedRef<SWidget> MakeLineRow();
	TSharedRef<SWidget> MakeSamplingRow();
	TSharedRef<SWidget> MakeColumns();
	/** A number to type or drag; a step of 0 lets it take any value. */
	TSharedRef<SWidget> MakeNumber(const FText& Label, double Least, double Most, double Step, double& Value);
	TSharedRef<SWidget> MakePersonaOption(TSharedPtr<FString> PersonaId);

	void HandlePersonasChanged();
	void HandlePersonaPicked(TSharedPtr<FString> PersonaId, ESelectInfo::Type How);
	void HandleLineCommitted(const FText& Line, ETextCommit::Type How);
	FReply HandleSpeak();
	FReply HandleStop();
	FReply HandleReload();
	void HandleFollowFiles(ECheckBoxState State);

	/** Asks for the line in all variants. */
	void Speak();
	void Stop();
	void Reload();
	void HandleComparison(const townsfolk_event& Event);
	void HandleReloaded(const townsfolk_event& Event);
	void ShowAnswers();
	FText GetStatus() const;

	TArray<TSharedPtr<FString>> PersonaIds;
	TSharedPtr<FString> Picked;
	TSharedPtr<SComboBox<TSharedPtr<FString>>> PersonaPicker;
	TSharedPtr<SEditableTextBox> PlayerLine;
	TSharedPtr<SEditableTextBox> Situation;
	TArray<TSharedPtr<STownsfolkPreviewColumn>> Columns;
	TSharedPtr<FTownsfolkPersonaWatch> Watch;

	FTownsfolkRequests Requests;
	Townsfolk::FComparison Comparison = Townsfolk::FComparison(0);
	FString Problem;
	double AdapterScale = 1.0;
	double Temperature = 0.7;
	double TopP = 0.95;
	double Seed = 1.0;
	double MaxTokens = 80.0;
	bool bFollowsFiles = true;
	bool bSpoken = false;
};
