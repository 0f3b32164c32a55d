// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "STownsfolkTryIt.h"

#include "TownsfolkConnection.h"
#include "TownsfolkEditorModule.h"
#include "TownsfolkNpcComponent.h"
#include "TownsfolkUtf8.h"
#include "Widgets/Input/SButton.h"
#include "Widgets/Input/SEditableTextBox.h"
#include "Widgets/SBoxPanel.h"
#include "Widgets/Text/STextBlock.h"

#define LOCTEXT_NAMESPACE "TownsfolkTryIt"

void STownsfolkTryIt::Construct(const FArguments& InArgs)
{
	Npc = InArgs._Npc;
	FTownsfolkEditorModule::Get().OnCloseStreams.AddSP(this, &STownsfolkTryIt::Stop);
	// clang-format off
	ChildSlot
	[
		SNew(SVerticalBox)
		+ SVerticalBox::Slot()
		.AutoHeight()
		[
			SNew(SHorizontalBox)
			+ SHorizontalBox::Slot()
			.FillWidth(1.0f)
			[
				SAssignNew(PlayerLine, SEditableTextBox)
				.HintText(LOCTEXT("Hint", "Say something to this persona"))
				.OnTextCommitted(this, &STownsfolkTryIt::HandleCommitted)
			]
			+ SHorizontalBox::Slot()
			.AutoWidth()
			[
				SNew(SButton)
				.Text(LOCTEXT("Say", "Say"))
				.OnClicked(this, &STownsfolkTryIt::HandleSay)
			]
		]
		+ SVerticalBox::Slot()
		.AutoHeight()
		.Padding(0.0f, 4.0f)
		[
			SAssignNew(Answer, STextBlock)
			.AutoWrapText(true)
		]
	];
	// clang-format on
}

FReply STownsfolkTryIt::HandleSay()
{
	Say();
	return FReply::Handled();
}

void STownsfolkTryIt::HandleCommitted(const FText& Line, ETextCommit::Type How)
{
	if (How == ETextCommit::OnEnter)
	{
		Say();
	}
}

void STownsfolkTryIt::Say()
{
	const UTownsfolkNpcComponent* Component = Npc.Get();
	if (Component == nullptr)
	{
		return;
	}
	FTownsfolkSay Line;
	Line.PersonaId = Component->PersonaId;
	Line.Text = PlayerLine->GetText().ToString();
	Line.Sampling = Component->Sampling;
	Spoken.Empty();
	Answer->SetText(LOCTEXT("Waits", "…"));
	// A new set of requests cancels the line before.
	Requests = FTownsfolkRequests(*FTownsfolkEditorModule::Get().GetConnection());
	Requests.Say(Line, FTownsfolkEventDelegate::CreateSP(this, &STownsfolkTryIt::HandleEvent));
}

void STownsfolkTryIt::Stop()
{
	Requests.Reset();
}

void STownsfolkTryIt::HandleEvent(const townsfolk_event& Event)
{
	if (Event.kind == TOWNSFOLK_EVENT_SPEECH_DELTA)
	{
		Spoken += Townsfolk::FromUtf8(Event.text);
		Answer->SetText(FText::FromString(Spoken));
	}
	else if (Event.kind == TOWNSFOLK_EVENT_FINISHED || Event.kind == TOWNSFOLK_EVENT_ERROR)
	{
		Answer->SetText(FText::FromString(Townsfolk::FromUtf8(Event.text)));
	}
}

#undef LOCTEXT_NAMESPACE
