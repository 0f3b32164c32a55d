// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "TownsfolkRequests.h"
#include "Types/SlateEnums.h"
#include "UObject/WeakObjectPtrTemplates.h"
#include "Widgets/DeclarativeSyntaxSupport.h"
#include "Widgets/SCompoundWidget.h"

class SEditableTextBox;
class STextBlock;
class UTownsfolkNpcComponent;

/** Lets a component's persona answer one line within the details panel, without playing. */
class STownsfolkTryIt : public SCompoundWidget
{
public:
	SLATE_BEGIN_ARGS(STownsfolkTryIt)
	{
	}
	SLATE_ARGUMENT(TWeakObjectPtr<UTownsfolkNpcComponent>, Npc)
	SLATE_END_ARGS()

	void Construct(const FArguments& InArgs);

private:
	FReply HandleSay();
	void HandleCommitted(const FText& Line, ETextCommit::Type How);
	void HandleEvent(const townsfolk_event& Event);
	void Say();
	void Stop();

	TWeakObjectPtr<UTownsfolkNpcComponent> Npc;
	TSharedPtr<SEditableTextBox> PlayerLine;
	TSharedPtr<STextBlock> Answer;
	FString Spoken;
	FTownsfolkRequests Requests;
};
