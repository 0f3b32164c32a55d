// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"

#include "TownsfolkTypes.generated.h"

/** State of the connection to the daemon. */
UENUM(BlueprintType)
enum class ETownsfolkConnectionState : uint8
{
	/** Not connected, and not trying. */
	Closed,
	/** Trying, for the first time or again. */
	Connecting,
	/** The daemon was started and loads its model. */
	Launching,
	/** Connected, and the daemon serves. */
	Ready,
	/** Connected, but the engine loads or is being started again. */
	NotServing,
	/** Not connected; the next try follows by itself. */
	Lost,
	/** Given up: the token is wrong, or the daemon cannot be launched. */
	Failed
};

/** Why a line ended. */
UENUM(BlueprintType)
enum class ETownsfolkFinishReason : uint8
{
	/** A reason that this plugin does not know. */
	Unknown,
	/** The line came to its own end. */
	Stop,
	/** The line reached its longest length and was cut. */
	Length,
	/** The line was interrupted. */
	Cancelled,
	/** The line's deadline passed. */
	Deadline
};

/** How urgent a line is against the others that wait. */
UENUM(BlueprintType)
enum class ETownsfolkPriority : uint8
{
	/** A line that the player asked for. */
	Normal,
	/** Chatter nobody waits for. First to be refused when there is too much. */
	Background,
	/** A line that the scene cannot go on without. */
	Urgent
};

/** What went wrong, as a gRPC status code. */
UENUM(BlueprintType)
enum class ETownsfolkStatus : uint8
{
	Ok,
	Cancelled,
	Unknown,
	InvalidArgument,
	DeadlineExceeded,
	NotFound,
	AlreadyExists,
	PermissionDenied,
	ResourceExhausted,
	FailedPrecondition,
	Aborted,
	OutOfRange,
	Unimplemented,
	Internal,
	Unavailable,
	DataLoss,
	Unauthenticated
};

/** What of a persona a variant of a comparison uses. */
enum class ETownsfolkVariant : uint8
{
	/** Prompt and adapter, as players meet it. */
	Persona,
	/** The persona's prompt on the base model. */
	PromptOnly,
	/** The base model, without any persona. */
	Base
};

/** Why a request failed. */
USTRUCT(BlueprintType)
struct TOWNSFOLK_API FTownsfolkError
{
	GENERATED_BODY()

	/** Kind of failure. */
	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	ETownsfolkStatus Status = ETownsfolkStatus::Ok;

	/** One sentence for a developer to read. */
	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	FString Message;

	/** Request field at fault, such as "sampling.top_p". May be empty. */
	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	FString Field;

	/** Seconds to wait before trying again; 0 if that is not known or will not help. */
	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	float RetryAfterSeconds = 0.0f;
};

/** A persona of the daemon. */
USTRUCT(BlueprintType)
struct TOWNSFOLK_API FTownsfolkPersona
{
	GENERATED_BODY()

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	FString Id;

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	FString Name;

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	FString Summary;

	/** Whether it has an adapter for the daemon's model. */
	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	bool bHasAdapter = false;
};

/** What a line cost. */
USTRUCT(BlueprintType)
struct TOWNSFOLK_API FTownsfolkTurnStats
{
	GENERATED_BODY()

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	int32 PromptTokens = 0;

	/** Prompt tokens that did not have to be read again. */
	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	int32 CachedPromptTokens = 0;

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	int32 CompletionTokens = 0;

	/** Most adapters in any one decode step that the line took part in. */
	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	int32 MaxBatchAdapters = 0;

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	float TimeToFirstTokenSeconds = 0.0f;

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	float TotalSeconds = 0.0f;

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	float TokensPerSecond = 0.0f;
};

/** A line that has ended. */
USTRUCT(BlueprintType)
struct TOWNSFOLK_API FTownsfolkLine
{
	GENERATED_BODY()

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	FString PersonaId;

	/** What was spoken; of an interrupted line, as far as the player saw it. */
	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	FString Text;

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	ETownsfolkFinishReason FinishReason = ETownsfolkFinishReason::Unknown;

	/** "busy", "timeout" or "error" if it is one of the persona's authored fallback lines, else empty. */
	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	FString FallbackReason;

	UPROPERTY(BlueprintReadOnly, Category = "Townsfolk")
	FTownsfolkTurnStats Stats;
};

/** How a line is sampled. What is not overridden is the persona's own. */
USTRUCT(BlueprintType)
struct TOWNSFOLK_API FTownsfolkSampling
{
	GENERATED_BODY()

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (InlineEditConditionToggle))
	bool bOverrideTemperature = false;

	/** 0 takes the likeliest token every time. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk",
		meta = (EditCondition = "bOverrideTemperature", ClampMin = "0", ClampMax = "4"))
	float Temperature = 0.7f;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (InlineEditConditionToggle))
	bool bOverrideTopP = false;

	/** Keep the likeliest tokens that together reach this probability. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk",
		meta = (EditCondition = "bOverrideTopP", ClampMin = "0.01", ClampMax = "1"))
	float TopP = 0.95f;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (InlineEditConditionToggle))
	bool bOverrideRepetitionPenalty = false;

	/** Above 1 avoids repeats. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk",
		meta = (EditCondition = "bOverrideRepetitionPenalty", ClampMin = "0.5", ClampMax = "4"))
	float RepetitionPenalty = 1.1f;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (InlineEditConditionToggle))
	bool bOverrideSeed = false;

	/** The same seed and request give the same line. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (EditCondition = "bOverrideSeed"))
	int64 Seed = 0;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (InlineEditConditionToggle))
	bool bOverrideMaxTokens = false;

	/** Longest line in tokens. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk",
		meta = (EditCondition = "bOverrideMaxTokens", ClampMin = "1", ClampMax = "2048"))
	int32 MaxTokens = 80;
};

/** A line to ask for. */
USTRUCT(BlueprintType)
struct TOWNSFOLK_API FTownsfolkSay
{
	GENERATED_BODY()

	/** Who is to speak. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString PersonaId;

	/** What the player said. May be empty if there is a situation: then the persona speaks first. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString Text;

	/** What is going on around the speakers, told to the persona but spoken by nobody. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString Situation;

	/** The open session to speak in. Empty: a line of its own, which is not remembered. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FString SessionId;

	/** Seconds after which the persona's fallback line is spoken instead. 0: no deadline of its own. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk", meta = (ClampMin = "0", ClampMax = "600"))
	float DeadlineSeconds = 0.0f;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	ETownsfolkPriority Priority = ETownsfolkPriority::Normal;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Townsfolk")
	FTownsfolkSampling Sampling;
};

/** One way to speak the line of a comparison. */
struct FTownsfolkVariant
{
	ETownsfolkVariant Kind = ETownsfolkVariant::Persona;
	FString PersonaId;
	/** How strongly the adapter is applied, 0 to 2; counts for Persona only. */
	double AdapterScale = 1.0;
};

/** One line in several variants, side by side. */
struct FTownsfolkCompare
{
	FString Text;
	FString Situation;
	TArray<FTownsfolkVariant> Variants;
	FTownsfolkSampling Sampling;
	/** Likeliest tokens to report at each place, at most 20; 0: no probabilities. */
	int32 TopTokens = 0;
};
