// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "CoreMinimal.h"
#include "TownsfolkRequests.h"

#include "Townsfolk/Core/ConsoleCompletions.h"

class UWorld;
struct FAutoCompleteCommand;

/** The daemon's console behind Unreal's: runs lines, prints what they say, and tells Unreal's what can be typed. */
class FTownsfolkConsole : public TSharedFromThis<FTownsfolkConsole>
{
public:
	explicit FTownsfolkConsole(const FTownsfolkConnection& Connection);
	~FTownsfolkConsole();

	/** Once it is shared: offers its completions to Unreal's console. */
	void Begin();

	/** Runs a line of the daemon's console. What it prints goes to the log and to the world's console. */
	void Execute(const FString& Line, UWorld* World);

	/** Learns anew what the daemon's console can be told. */
	void RefreshCompletions();

private:
	void HandleOutput(const townsfolk_event& Event, TWeakObjectPtr<UWorld> World);
	void AskForCompletions();
	void HandleCompletions(const townsfolk_event& Event, FString Line);
	void AddEntries(TArray<FAutoCompleteCommand>& Entries) const;

	FTownsfolkRequests Requests;
	FTownsfolkRequests CompletionRequests;
	Townsfolk::FConsoleCompletions Completions;
	FString UnfinishedLine;
	FDelegateHandle EntriesHandle;
};
