// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkConsole.h"

#include "Engine/Console.h"
#include "Engine/Engine.h"
#include "Engine/GameViewportClient.h"
#include "Engine/World.h"
#include "TownsfolkLog.h"
#include "TownsfolkUtf8.h"

namespace
{
UConsole* FindConsole(const UWorld* World)
{
	const UGameViewportClient* Viewport = World != nullptr ? World->GetGameViewport() : nullptr;
	return Viewport != nullptr ? Viewport->ViewportConsole.Get() : nullptr;
}

void Print(const FString& Line, bool bError, const UWorld* World)
{
	if (bError)
	{
		UE_LOG(LogTownsfolk, Error, TEXT("%s"), *Line);
	}
	else
	{
		UE_LOG(LogTownsfolk, Display, TEXT("%s"), *Line);
	}
	if (UConsole* Console = FindConsole(World))
	{
		Console->OutputText(Line);
	}
}
} // namespace

FTownsfolkConsole::FTownsfolkConsole(const FTownsfolkConnection& Connection)
	: Requests(Connection)
	, CompletionRequests(Connection)
{
}

FTownsfolkConsole::~FTownsfolkConsole()
{
#if ALLOW_CONSOLE
	UConsole::RegisterConsoleAutoCompleteEntries.Remove(EntriesHandle);
#endif
}

void FTownsfolkConsole::Begin()
{
#if ALLOW_CONSOLE
	EntriesHandle = UConsole::RegisterConsoleAutoCompleteEntries.AddSP(this, &FTownsfolkConsole::AddEntries);
#endif
}

void FTownsfolkConsole::Execute(const FString& Line, UWorld* World)
{
	Requests.Execute(
		Line, FTownsfolkEventDelegate::CreateSP(this, &FTownsfolkConsole::HandleOutput, TWeakObjectPtr<UWorld>(World)));
}

void FTownsfolkConsole::HandleOutput(const townsfolk_event& Event, TWeakObjectPtr<UWorld> World)
{
	if (Event.kind == TOWNSFOLK_EVENT_CONSOLE_OUTPUT)
	{
		// A piece need not be a whole line, while both log and console print lines.
		UnfinishedLine += Townsfolk::FromUtf8(Event.text);
		int32 End = INDEX_NONE;
		while (UnfinishedLine.FindChar(TEXT('\n'), End))
		{
			Print(UnfinishedLine.Left(End), Event.console_style == TOWNSFOLK_CONSOLE_ERROR, World.Get());
			UnfinishedLine.RightChopInline(End + 1);
		}
	}
	else if (Event.last != 0)
	{
		if (!UnfinishedLine.IsEmpty())
		{
			Print(UnfinishedLine, false, World.Get());
			UnfinishedLine.Empty();
		}
		if (Event.kind == TOWNSFOLK_EVENT_ERROR)
		{
			Print(Townsfolk::FromUtf8(Event.text), true, World.Get());
		}
	}
}

void FTownsfolkConsole::RefreshCompletions()
{
	Completions.Reset();
	AskForCompletions();
}

void FTownsfolkConsole::AskForCompletions()
{
	if (!Completions.HasQuestion())
	{
#if ALLOW_CONSOLE
		if (GEngine != nullptr && GEngine->GameViewport != nullptr && GEngine->GameViewport->ViewportConsole != nullptr)
		{
			GEngine->GameViewport->ViewportConsole->BuildRuntimeAutoCompleteList(true);
		}
#endif
		return;
	}
	const FString Line = Townsfolk::FromUtf8(Completions.TakeQuestion());
	CompletionRequests.Complete(
		Line, FTownsfolkEventDelegate::CreateSP(this, &FTownsfolkConsole::HandleCompletions, Line));
}

void FTownsfolkConsole::HandleCompletions(const townsfolk_event& Event, FString Line)
{
	if (Event.kind == TOWNSFOLK_EVENT_COMPLETIONS)
	{
		Completions.TakeAnswer(Townsfolk::ToUtf8(Line), Event);
		AskForCompletions();
	}
}

void FTownsfolkConsole::AddEntries(TArray<FAutoCompleteCommand>& Entries) const
{
	for (const Townsfolk::FConsoleEntry& Entry : Completions.Entries())
	{
		const FString Line = Townsfolk::FromUtf8(Entry.Line);
		FAutoCompleteCommand Command;
		Command.Command = TEXT("Townsfolk.Exec ") + Line;
		Command.Desc = Townsfolk::FromUtf8(Entry.Description);
		Entries.Add(Command);
		FString Persona;
		if (Line.Split(TEXT("npc.say "), nullptr, &Persona) && !Persona.IsEmpty())
		{
			Command.Command = TEXT("Townsfolk.Say ") + Persona;
			Entries.Add(Command);
		}
		else if (Line.Split(TEXT("npc.reload "), nullptr, &Persona) && !Persona.IsEmpty())
		{
			Command.Command = TEXT("Townsfolk.Reload ") + Persona;
			Entries.Add(Command);
		}
	}
}
