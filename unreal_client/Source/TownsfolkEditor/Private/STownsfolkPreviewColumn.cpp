// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "STownsfolkPreviewColumn.h"

#include "Styling/AppStyle.h"
#include "Styling/CoreStyle.h"
#include "TownsfolkUtf8.h"
#include "Widgets/Layout/SBorder.h"
#include "Widgets/Layout/SScrollBox.h"
#include "Widgets/Layout/SWrapBox.h"
#include "Widgets/SBoxPanel.h"
#include "Widgets/Text/STextBlock.h"

#define LOCTEXT_NAMESPACE "TownsfolkPreviewColumn"

namespace
{
FText TipOf(const Townsfolk::FTokenRun& Run)
{
	FString Tip = FString::Printf(TEXT("%.1f %%"), 100.0 * FMath::Exp(Run.LogProbability));
	for (const Townsfolk::FTokenAlternative& Alternative : Run.Alternatives)
	{
		Tip += FString::Printf(
			TEXT("\n%5.1f %%  %s"), 100.0 * Alternative.Probability, *Townsfolk::FromUtf8(Alternative.Text));
	}
	return FText::FromString(Tip);
}

FText FooterOf(const Townsfolk::FVariantAnswer& Answer)
{
	if (!Answer.Error.empty())
	{
		return FText::FromString(Townsfolk::FromUtf8(Answer.Error));
	}
	if (!Answer.bEnded)
	{
		return Answer.bStarted ? LOCTEXT("Speaking", "speaks …") : LOCTEXT("Waiting", "waits …");
	}
	return FText::FromString(FString::Printf(TEXT("first token %.0f ms · %.1f tokens/s · %u tokens%s"),
		1000.0 * Answer.Stats.time_to_first_token_s, Answer.Stats.tokens_per_s, Answer.Stats.completion_tokens,
		Answer.bAdapterApplied ? TEXT(" · adapter") : TEXT("")));
}
} // namespace

void STownsfolkPreviewColumn::Construct(const FArguments& InArgs)
{
	// clang-format off
	ChildSlot
	[
		SNew(SBorder)
		.Padding(8.0f)
		.BorderImage(FAppStyle::GetBrush("ToolPanel.GroupBorder"))
		[
			SNew(SVerticalBox)
			+ SVerticalBox::Slot()
			.AutoHeight()
			[
				SNew(STextBlock)
				.Text(InArgs._Title)
				.Font(FCoreStyle::GetDefaultFontStyle("Bold", 11))
			]
			+ SVerticalBox::Slot()
			.FillHeight(1.0f)
			.Padding(0.0f, 8.0f)
			[
				SNew(SScrollBox)
				+ SScrollBox::Slot()
				[
					SAssignNew(Words, SWrapBox)
					.UseAllottedSize(true)
				]
				+ SScrollBox::Slot()
				[
					SAssignNew(PlainLine, STextBlock)
					.AutoWrapText(true)
				]
			]
			+ SVerticalBox::Slot()
			.AutoHeight()
			[
				SAssignNew(Footer, STextBlock)
				.AutoWrapText(true)
			]
		]
	];
	// clang-format on
}

void STownsfolkPreviewColumn::Clear()
{
	Words->ClearChildren();
	PlainLine->SetText(FText::GetEmpty());
	Footer->SetText(FText::GetEmpty());
	ShownRuns = 0;
}

void STownsfolkPreviewColumn::Show(const Townsfolk::FVariantAnswer& Answer)
{
	for (; ShownRuns < Answer.Runs.Num(); ++ShownRuns)
	{
		const Townsfolk::FTokenRun& Run = Answer.Runs[ShownRuns];
		const Townsfolk::FShade Shade = Townsfolk::ShadeOfLogProbability(Run.LogProbability);
		AddRun(FText::FromString(Townsfolk::FromUtf8(Run.Text)),
			FLinearColor(Shade.Red, Shade.Green, Shade.Blue, Shade.Alpha), TipOf(Run));
	}
	if (ShownRuns == 0)
	{
		PlainLine->SetText(FText::FromString(Townsfolk::FromUtf8(Answer.Line)));
	}
	Footer->SetText(FooterOf(Answer));
}

void STownsfolkPreviewColumn::AddRun(const FText& Run, const FLinearColor& Shade, const FText& Tip)
{
	// clang-format off
	Words->AddSlot()
	[
		SNew(SBorder)
		.Padding(0.0f)
		.BorderImage(FAppStyle::GetBrush("WhiteBrush"))
		.BorderBackgroundColor(Shade)
		.ToolTipText(Tip)
		[
			SNew(STextBlock)
			.Text(Run)
		]
	];
	// clang-format on
}

#undef LOCTEXT_NAMESPACE
