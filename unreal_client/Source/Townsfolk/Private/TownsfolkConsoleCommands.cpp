// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "Engine/World.h"
#include "HAL/IConsoleManager.h"
#include "Misc/OutputDevice.h"
#include "TownsfolkConnection.h"
#include "TownsfolkConsole.h"
#include "TownsfolkModule.h"
#include "TownsfolkSubsystem.h"
#include "TownsfolkUtf8.h"

// Named, since Unreal compiles many files as one.
namespace TownsfolkConsoleCommands
{
/** The game's connection, or the editor's while no game runs. */
TSharedPtr<FTownsfolkConnection> FindConnection(const UWorld* World)
{
	if (UTownsfolkSubsystem* Subsystem = UTownsfolkSubsystem::Get(World))
	{
		return Subsystem->GetConnection();
	}
	return FTownsfolkModule::Get().GetEditorConnection();
}

void Run(const std::string& Line, UWorld* World, FOutputDevice& Output)
{
	if (const TSharedPtr<FTownsfolkConnection> Connection = FindConnection(World))
	{
		Connection->GetConsole().Execute(Townsfolk::FromUtf8(Line), World);
	}
	else
	{
		Output.Log(TEXT("Townsfolk is not connected: start the game or open the Persona Preview tab."));
	}
}

std::vector<std::string> WordsFrom(const TArray<FString>& Arguments)
{
	std::vector<std::string> Words;
	for (const FString& Argument : Arguments)
	{
		Words.push_back(Townsfolk::ToUtf8(Argument));
	}
	return Words;
}

void Say(const TArray<FString>& Arguments, UWorld* World, FOutputDevice& Output)
{
	const std::string Line = Townsfolk::SayCommand(WordsFrom(Arguments));
	if (Line.empty())
	{
		Output.Log(TEXT("Usage: Townsfolk.Say <persona> <what you say>"));
		return;
	}
	Run(Line, World, Output);
}

void Stats(const TArray<FString>& Arguments, UWorld* World, FOutputDevice& Output)
{
	Run("npc.stats", World, Output);
}

void Reload(const TArray<FString>& Arguments, UWorld* World, FOutputDevice& Output)
{
	Run(Arguments.IsEmpty() ? "npc.reload" : "npc.reload " + Townsfolk::JoinWords(WordsFrom(Arguments)), World, Output);
}

void Exec(const TArray<FString>& Arguments, UWorld* World, FOutputDevice& Output)
{
	Run(Arguments.IsEmpty() ? "npc.help" : Townsfolk::JoinWords(WordsFrom(Arguments)), World, Output);
}

const FAutoConsoleCommandWithWorldArgsAndOutputDevice SayCommand(TEXT("Townsfolk.Say"),
	TEXT("Says something to a persona: Townsfolk.Say <persona> <what you say>"),
	FConsoleCommandWithWorldArgsAndOutputDeviceDelegate::CreateStatic(&Say));

const FAutoConsoleCommandWithWorldArgsAndOutputDevice StatsCommand(TEXT("Townsfolk.Stats"),
	TEXT("Shows what the daemon is doing."), FConsoleCommandWithWorldArgsAndOutputDeviceDelegate::CreateStatic(&Stats));

const FAutoConsoleCommandWithWorldArgsAndOutputDevice ReloadCommand(TEXT("Townsfolk.Reload"),
	TEXT("Reads personas from disk again: Townsfolk.Reload [persona]"),
	FConsoleCommandWithWorldArgsAndOutputDeviceDelegate::CreateStatic(&Reload));

const FAutoConsoleCommandWithWorldArgsAndOutputDevice ExecCommand(TEXT("Townsfolk.Exec"),
	TEXT("Runs a line of the daemon's console: Townsfolk.Exec npc.help"),
	FConsoleCommandWithWorldArgsAndOutputDeviceDelegate::CreateStatic(&Exec));
} // namespace TownsfolkConsoleCommands
