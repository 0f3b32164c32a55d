// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "TownsfolkTypes.h"

#include "TownsfolkStoryTypes.generated.h"

class UTexture2D;

/** A part of a story. */
UENUM(BlueprintType)
enum class ETownsfolkStoryPart : uint8
{
	/** A part that this plugin does not know. */
	Unknown,
	/** The idea spelt out. */
	Concept,
	/** The story itself. */
	Story,
	/** What a picture is to show. */
	PicturePrompt,
	/** A picture. */
	Picture
};

/** What a story is about. Each text is one line of at most 120 characters. */
USTRUCT(BlueprintType)
struct TOWNSFOLK_API FTownsfolkStoryConcept
{
	GENERATED_BODY()

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString Title;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString Hero;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString Conflict;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString Place;
};

/** A story to write and to illustrate. */
USTRUCT(BlueprintType)
struct TOWNSFOLK_API FTownsfolkStoryRequest
{
	GENERATED_BODY()

	/** What it is to be about. May be empty if the concept has a title. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString Idea;

	/** Who tells it. Empty: the daemon's own story writer. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString NarratorPersonaId;

	/** Who appears in it, at most 8. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	TArray<FString> CastPersonaIds;

	/** The concept of an earlier story, to write it anew. Without a title: made of the idea. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FTownsfolkStoryConcept Concept;

	/** What to change, such as "darker". */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString Wish;

	/** Rough length in words, 50 to 1000. 0: what the writer was trained for. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (ClampMin = "0", ClampMax = "1000"))
	int32 TargetWords = 0;

	/** How many pictures to draw. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (ClampMin = "0", ClampMax = "4"))
	int32 PictureCount = 1;

	/** In pixels, a multiple of 8. 0: the daemon's own. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (ClampMin = "0", ClampMax = "2048"))
	int32 PictureWidth = 0;

	/** In pixels, a multiple of 8. 0: the daemon's own. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (ClampMin = "0", ClampMax = "2048"))
	int32 PictureHeight = 0;

	/** Such as "ink and watercolour". Empty: the daemon's own. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString PictureStyle;

	/** Seconds that all of it may take. 0: an hour. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (ClampMin = "0", ClampMax = "3600"))
	float DeadlineSeconds = 0.0f;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FTownsfolkSampling Sampling;
};

/** A story, as far as it has come. */
USTRUCT(BlueprintType)
struct TOWNSFOLK_API FTownsfolkStory
{
	GENERATED_BODY()

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	FTownsfolkStoryConcept Concept;

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	FString Text;

	/** The pictures drawn so far, in order. */
	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	TArray<TObjectPtr<UTexture2D>> Pictures;

	/** Seconds that all of it took. */
	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	float TotalSeconds = 0.0f;
};
