// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "Widgets/DeclarativeSyntaxSupport.h"
#include "Widgets/SCompoundWidget.h"

#include "Townsfolk/Core/Comparison.h"

class STextBlock;
class SWrapBox;

/** One variant of a line: its words, shaded by how likely each token was, and what it cost. */
class STownsfolkPreviewColumn : public SCompoundWidget
{
public:
	SLATE_BEGIN_ARGS(STownsfolkPreviewColumn)
	{
	}
	SLATE_ARGUMENT(FText, Title)
	SLATE_END_ARGS()

	void Construct(const FArguments& InArgs);

	/** Empties the column for a new line. */
	void Clear();

	/** Shows how far the variant has come; nothing of what is shown already is built again. */
	void Show(const Townsfolk::FVariantAnswer& Answer);

private:
	void AddRun(const FText& Run, const FLinearColor& Shade, const FText& Tip);

	TSharedPtr<SWrapBox> Words;
	TSharedPtr<STextBlock> PlainLine;
	TSharedPtr<STextBlock> Footer;
	size_t ShownRuns = 0;
};
