// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "STownsfolkPersonaPreview.h"

#include "STownsfolkPreviewColumn.h"
#include "TownsfolkConnection.h"
#include "TownsfolkEditorModule.h"
#include "TownsfolkPersonaWatch.h"
#include "TownsfolkUtf8.h"
#include "Widgets/Input/SButton.h"
#include "Widgets/Input/SCheckBox.h"
#include "Widgets/Input/SEditableTextBox.h"
#include "Widgets/Input/SSpinBox.h"
#include "Widgets/SBoxPanel.h"
#include "Widgets/Text/STextBlock.h"

#define LOCTEXT_NAMESPACE "TownsfolkPersonaPreview"

namespace
{
/** Likeliest tokens that a token's tip names. */
constexpr int32 TipTokens = 5;

/** The variants, in the order of the columns. */
constexpr ETownsfolkVariant Kinds[] = {
	ETownsfolkVariant::Base, ETownsfolkVariant::PromptOnly, ETownsfolkVariant::Persona};

FText TitleOf(ETownsfolkVariant Kind)
{
	switch (Kind)
	{
	case ETownsfolkVariant::Base:
		return LOCTEXT("Base", "Base model");
	case ETownsfolkVariant::PromptOnly:
		return LOCTEXT("PromptOnly", "Prompt only");
	default:
		return LOCTEXT("Adapter", "Prompt and adapter");
	}
}
} // namespace

void STownsfolkPersonaPreview::Construct(const FArguments& InArgs)
{
	FTownsfolkEditorModule& Module = FTownsfolkEditorModule::Get();
	Module.OnPersonasChanged.AddSP(this, &STownsfolkPersonaPreview::HandlePersonasChanged);
	Module.OnCloseStreams.AddSP(this, &STownsfolkPersonaPreview::Stop);
	Watch = MakeShared<FTownsfolkPersonaWatch>();
	Watch->OnChanged.BindSP(this, &STownsfolkPersonaPreview::Reload);

	// clang-format off
	ChildSlot
	[
		SNew(SVerticalBox)
		+ SVerticalBox::Slot()
		.AutoHeight()
		.Padding(8.0f)
		[
			MakeLineRow()
		]
		+ SVerticalBox::Slot()
		.AutoHeight()
		.Padding(8.0f, 0.0f)
		[
			MakeSamplingRow()
		]
		+ SVerticalBox::Slot()
		.FillHeight(1.0f)
		.Padding(8.0f)
		[
			MakeColumns()
		]
		+ SVerticalBox::Slot()
		.AutoHeight()
		.Padding(8.0f, 0.0f, 8.0f, 8.0f)
		[
			SNew(STextBlock)
			.Text(this, &STownsfolkPersonaPreview::GetStatus)
			.AutoWrapText(true)
		]
	];
	// clang-format on
	Module.GetConnection();
	HandlePersonasChanged();
}

TSharedRef<SWidget> STownsfolkPersonaPreview::MakeLineRow()
{
	// clang-format off
	return SNew(SHorizontalBox)
		+ SHorizontalBox::Slot()
		.AutoWidth()
		[
			SAssignNew(PersonaPicker, SComboBox<TSharedPtr<FString>>)
			.OptionsSource(&PersonaIds)
			.OnGenerateWidget(this, &STownsfolkPersonaPreview::MakePersonaOption)
			.OnSelectionChanged(this, &STownsfolkPersonaPreview::HandlePersonaPicked)
			[
				SNew(STextBlock)
				.Text_Lambda([WeakThis = TWeakPtr<STownsfolkPersonaPreview>(SharedThis(this))]
				{
					const TSharedPtr<STownsfolkPersonaPreview> Self = WeakThis.Pin();
					return Self.IsValid() && Self->Picked.IsValid()
						? FText::FromString(*Self->Picked) : LOCTEXT("Pick", "Pick a persona");
				})
			]
		]
		+ SHorizontalBox::Slot()
		.FillWidth(2.0f)
		.Padding(4.0f, 0.0f)
		[
			SAssignNew(PlayerLine, SEditableTextBox)
			.HintText(LOCTEXT("LineHint", "What the player says"))
			.OnTextCommitted(this, &STownsfolkPersonaPreview::HandleLineCommitted)
		]
		+ SHorizontalBox::Slot()
		.FillWidth(1.0f)
		.Padding(0.0f, 0.0f, 4.0f, 0.0f)
		[
			SAssignNew(Situation, SEditableTextBox)
			.HintText(LOCTEXT("SituationHint", "Situation (optional)"))
		]
		+ SHorizontalBox::Slot()
		.AutoWidth()
		[
			SNew(SButton)
			.Text(LOCTEXT("Speak", "Speak"))
			.OnClicked(this, &STownsfolkPersonaPreview::HandleSpeak)
		]
		+ SHorizontalBox::Slot()
		.AutoWidth()
		[
			SNew(SButton)
			.Text(LOCTEXT("Stop", "Stop"))
			.OnClicked(this, &STownsfolkPersonaPreview::HandleStop)
		]
		+ SHorizontalBox::Slot()
		.AutoWidth()
		[
			SNew(SButton)
			.Text(LOCTEXT("Reload", "Reload"))
			.ToolTipText(LOCTEXT("ReloadTip", "Let the daemon read the persona from disk again, and speak the line anew."))
			.OnClicked(this, &STownsfolkPersonaPreview::HandleReload)
		];
	// clang-format on
}

TSharedRef<SWidget> STownsfolkPersonaPreview::MakeSamplingRow()
{
	// clang-format off
	return SNew(SHorizontalBox)
		+ SHorizontalBox::Slot()
		[
			MakeNumber(LOCTEXT("AdapterScale", "Adapter scale"), 0.0, 2.0, 0.0, AdapterScale)
		]
		+ SHorizontalBox::Slot()
		[
			MakeNumber(LOCTEXT("Temperature", "Temperature"), 0.0, 4.0, 0.0, Temperature)
		]
		+ SHorizontalBox::Slot()
		[
			MakeNumber(LOCTEXT("TopP", "Top p"), 0.01, 1.0, 0.0, TopP)
		]
		+ SHorizontalBox::Slot()
		[
			MakeNumber(LOCTEXT("Seed", "Seed"), 0.0, 1000000.0, 1.0, Seed)
		]
		+ SHorizontalBox::Slot()
		[
			MakeNumber(LOCTEXT("MaxTokens", "Max tokens"), 1.0, 2048.0, 1.0, MaxTokens)
		]
		+ SHorizontalBox::Slot()
		.AutoWidth()
		[
			SNew(SCheckBox)
			.IsChecked(ECheckBoxState::Checked)
			.ToolTipText(LOCTEXT("FollowTip", "Reload and speak anew when files in the persona's folder change on this machine."))
			.OnCheckStateChanged(this, &STownsfolkPersonaPreview::HandleFollowFiles)
			[
				SNew(STextBlock)
				.Text(LOCTEXT("Follow", "Reload on file change"))
			]
		];
	// clang-format on
}

TSharedRef<SWidget> STownsfolkPersonaPreview::MakeColumns()
{
	const TSharedRef<SHorizontalBox> Row = SNew(SHorizontalBox);
	for (const ETownsfolkVariant Kind : Kinds)
	{
		TSharedPtr<STownsfolkPreviewColumn>& Column = Columns.AddDefaulted_GetRef();
		// clang-format off
		Row->AddSlot()
		.FillWidth(1.0f)
		.Padding(2.0f)
		[
			SAssignNew(Column, STownsfolkPreviewColumn)
			.Title(TitleOf(Kind))
		];
		// clang-format on
	}
	return Row;
}

TSharedRef<SWidget> STownsfolkPersonaPreview::MakeNumber(
	const FText& Label, double Least, double Most, double Step, double& Value)
{
	const TWeakPtr<STownsfolkPersonaPreview> WeakThis = SharedThis(this);
	double* const Number = &Value;
	// clang-format off
	return SNew(SHorizontalBox)
		+ SHorizontalBox::Slot()
		.AutoWidth()
		.Padding(0.0f, 0.0f, 4.0f, 0.0f)
		[
			SNew(STextBlock)
			.Text(Label)
		]
		+ SHorizontalBox::Slot()
		.FillWidth(1.0f)
		.Padding(0.0f, 0.0f, 12.0f, 0.0f)
		[
			SNew(SSpinBox<double>)
			.MinValue(Least)
			.MaxValue(Most)
			.Delta(Step)
			.Value(Value)
			.OnValueChanged_Lambda([WeakThis, Number](double NewValue)
			{
				if (WeakThis.IsValid())
				{
					*Number = NewValue;
				}
			})
		];
	// clang-format on
}

TSharedRef<SWidget> STownsfolkPersonaPreview::MakePersonaOption(TSharedPtr<FString> PersonaId)
{
	return SNew(STextBlock).Text(FText::FromString(*PersonaId));
}

void STownsfolkPersonaPreview::HandlePersonasChanged()
{
	const FString Before = Picked.IsValid() ? *Picked : FString();
	PersonaIds.Reset();
	Picked.Reset();
	const TSharedPtr<FTownsfolkConnection> Connection = FTownsfolkEditorModule::Get().FindConnection();
	for (const FTownsfolkPersona& Persona :
		Connection.IsValid() ? Connection->GetPersonas() : TArray<FTownsfolkPersona>())
	{
		const TSharedPtr<FString> Option = MakeShared<FString>(Persona.Id);
		PersonaIds.Add(Option);
		if (!Picked.IsValid() || Persona.Id == Before)
		{
			Picked = Option;
		}
	}
	PersonaPicker->RefreshOptions();
	PersonaPicker->SetSelectedItem(Picked);
}

void STownsfolkPersonaPreview::HandlePersonaPicked(TSharedPtr<FString> PersonaId, ESelectInfo::Type How)
{
	Picked = PersonaId;
	bSpoken = false;
	Watch->Watch(bFollowsFiles && Picked.IsValid() ? *Picked : FString());
}

void STownsfolkPersonaPreview::HandleLineCommitted(const FText& Line, ETextCommit::Type How)
{
	if (How == ETextCommit::OnEnter)
	{
		Speak();
	}
}

FReply STownsfolkPersonaPreview::HandleSpeak()
{
	Speak();
	return FReply::Handled();
}

FReply STownsfolkPersonaPreview::HandleStop()
{
	Stop();
	return FReply::Handled();
}

FReply STownsfolkPersonaPreview::HandleReload()
{
	Reload();
	return FReply::Handled();
}

void STownsfolkPersonaPreview::HandleFollowFiles(ECheckBoxState State)
{
	bFollowsFiles = State == ECheckBoxState::Checked;
	Watch->Watch(bFollowsFiles && Picked.IsValid() ? *Picked : FString());
}

void STownsfolkPersonaPreview::Speak()
{
	if (!Picked.IsValid())
	{
		Problem = TEXT("Pick a persona first.");
		return;
	}
	FTownsfolkCompare Compare;
	Compare.Text = PlayerLine->GetText().ToString();
	Compare.Situation = Situation->GetText().ToString();
	Compare.TopTokens = TipTokens;
	Compare.Sampling.bOverrideTemperature = true;
	Compare.Sampling.Temperature = static_cast<float>(Temperature);
	Compare.Sampling.bOverrideTopP = true;
	Compare.Sampling.TopP = static_cast<float>(TopP);
	Compare.Sampling.bOverrideSeed = true;
	Compare.Sampling.Seed = static_cast<int64>(Seed);
	Compare.Sampling.bOverrideMaxTokens = true;
	Compare.Sampling.MaxTokens = static_cast<int32>(MaxTokens);
	for (const ETownsfolkVariant Kind : Kinds)
	{
		Compare.Variants.Add({Kind, *Picked, AdapterScale});
	}
	for (const TSharedPtr<STownsfolkPreviewColumn>& Column : Columns)
	{
		Column->Clear();
	}
	Problem.Empty();
	bSpoken = true;
	Comparison = Townsfolk::FComparison(static_cast<size_t>(Columns.Num()));
	// A new set of requests cancels the line before.
	Requests = FTownsfolkRequests(*FTownsfolkEditorModule::Get().GetConnection());
	Requests.Compare(Compare, FTownsfolkEventDelegate::CreateSP(this, &STownsfolkPersonaPreview::HandleComparison));
}

void STownsfolkPersonaPreview::Stop()
{
	Requests.Reset();
}

void STownsfolkPersonaPreview::Reload()
{
	if (Picked.IsValid())
	{
		Requests = FTownsfolkRequests(*FTownsfolkEditorModule::Get().GetConnection());
		Requests.Execute(TEXT("npc.reload ") + *Picked,
			FTownsfolkEventDelegate::CreateSP(this, &STownsfolkPersonaPreview::HandleReloaded));
	}
}

void STownsfolkPersonaPreview::HandleComparison(const townsfolk_event& Event)
{
	Comparison.Take(Event);
	ShowAnswers();
}

void STownsfolkPersonaPreview::HandleReloaded(const townsfolk_event& Event)
{
	if (Event.kind == TOWNSFOLK_EVENT_ERROR)
	{
		Problem = Townsfolk::FromUtf8(Event.text);
	}
	else if (Event.last != 0 && bSpoken)
	{
		Speak();
	}
}

void STownsfolkPersonaPreview::ShowAnswers()
{
	for (int32 Index = 0; Index < Columns.Num(); ++Index)
	{
		Columns[Index]->Show(Comparison.Answers()[static_cast<size_t>(Index)]);
	}
}

FText STownsfolkPersonaPreview::GetStatus() const
{
	if (!Problem.IsEmpty())
	{
		return FText::FromString(Problem);
	}
	const TSharedPtr<FTownsfolkConnection> Connection = FTownsfolkEditorModule::Get().FindConnection();
	if (Connection.IsValid() && Connection->GetState() == ETownsfolkConnectionState::Ready)
	{
		return LOCTEXT(
			"Ready", "Colour behind a word: vermilion where the model hardly expected it, blue where it was sure.");
	}
	return FText::Format(LOCTEXT("NotReady", "Waiting for the daemon. {0}"),
		FText::FromString(Connection.IsValid() ? Connection->GetStateMessage() : FString()));
}

#undef LOCTEXT_NAMESPACE
